/** Every readable file of the corpus as metadata and bulk data, written again: both files say the same. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import type { Segment } from "../../server/dicom/data-set.ts";
import { readDataSet } from "../../server/dicom/json-reader.ts";
import {
  type BulkDataTable,
  type DicomJson,
  type JsonAttribute,
  toDicomJson,
  toJsonText,
} from "../../server/dicom/json.ts";
import { type ByteSource, part10File } from "../../server/dicom/part10-writer.ts";
import { explicitVrLittleEndian } from "../../server/dicom/transfer-syntax.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { swapped } from "../../server/dicom/vr.ts";
import { parseNativeXml } from "../../server/dicom/xml-reader.ts";
import { pathOf, requirement } from "../support/require.ts";
import { scanOnce } from "../support/scan.ts";
import { readableInstances } from "./files.ts";
import { readByDcmtk } from "./reference-json.ts";

const run = promisify(execFile);
const bulkDataUri = (at: string) => at;

function source(bytes: Buffer): ByteSource {
  return {
    byteLength: bytes.length,
    async *bytes() {
      yield bytes;
    },
  };
}

async function gathered(bytes: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of bytes) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function pick(file: Buffer, segments: readonly Segment[]): Buffer {
  return Buffer.concat(segments.map(({ offset, length }) => file.subarray(offset, offset + length)));
}

function bulkDataOf(file: Buffer, table: BulkDataTable) {
  return (uri: string): ByteSource => {
    const entry = table[uri];
    assert.ok(entry, uri);
    const bytes = pick(file, entry.segments);
    return source(entry.swapWidth === 1 ? bytes : swapped(bytes, entry.swapWidth));
  };
}

/** What writing changes on purpose: the character set is UTF-8, odd lengths are padded, long DS have 16 characters. */
function expected(json: DicomJson): DicomJson {
  const changed: DicomJson = {};
  for (const [tag, attribute] of Object.entries(json)) changed[tag] = expectedAttribute(attribute);
  delete changed["00080005"];
  return changed;
}

function expectedAttribute(attribute: JsonAttribute): JsonAttribute {
  const { vr, Value: values, InlineBinary: inline } = attribute;
  if (inline !== undefined) {
    const bytes = Buffer.from(inline, "base64");
    const even = Buffer.concat([bytes, Buffer.alloc(bytes.length % 2)]);
    return { vr, InlineBinary: even.toString("base64") };
  }
  if (!values) return attribute;
  if (vr === "SQ") return { vr, Value: values.map((item) => expected(readDataSet(item))) };
  // JSON has no negative zero.
  const digits = vr === "DS" ? 8 : 17;
  return {
    vr,
    Value: values.map((value) => (typeof value === "number" ? Number(value.toPrecision(digits)) + 0 : value)),
  };
}

/** DCMTK writes control characters, which XML cannot hold. */
function wellFormed(xml: string): DicomJson | undefined {
  try {
    return parseNativeXml(xml);
  } catch (error) {
    if (error instanceof Error && error.message.includes("not well-formed")) return undefined;
    throw error;
  }
}

describe("every readable file of the corpus, written from its metadata", requirement("corpus", "dcmtk"), () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-writer-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it("scans to the same metadata and the same bulk data, and DCMTK reads it", async (t) => {
    let [count, dcmtk] = [0, 0];
    for (const { name, path: at } of await readableInstances()) {
      const file = await readFile(at);
      let scan;
      try {
        scan = await scanOnce(file);
      } catch {
        continue;
      }
      if (scan.transferSyntax.deflated) continue;
      const { json, bulkData } = toDicomJson(scan.dataSet, { bulkDataUri });
      const pixels = scan.pixelData;
      const encapsulated = pixels?.kind === "encapsulated" ? pixels.fragments : undefined;
      const written = part10File(readDataSet(JSON.parse(toJsonText(json))), {
        sopClassUid: parseUid("1.2.840.10008.5.1.4.1.1.7"),
        sopInstanceUid: parseUid("1.2.3"),
        transferSyntaxUid: encapsulated ? scan.transferSyntax.uid : explicitVrLittleEndian.uid,
        bulkData: bulkDataOf(file, bulkData),
        frames: encapsulated?.map((segment) => source(pick(file, [segment]))),
        video: scan.transferSyntax.pixels === "video",
      });
      const again = await gathered(written);
      const rescan = await scanOnce(again);
      const other = toDicomJson(rescan.dataSet, { bulkDataUri });
      const [mine, theirs] = [expected(other.json), expected(json)];
      // An offset table says where the fragments of this file lie; encapsulated pixel data are OB (PS3.5 A.4).
      for (const tag of encapsulated ? ["7FE00001", "7FE00002", "7FE00010"] : []) {
        delete mine[tag];
        delete theirs[tag];
      }
      assert.deepEqual(mine, theirs, name);
      for (const uri of Object.keys(bulkData)) {
        if (encapsulated && uri === "7FE00010") continue;
        const bytes = pick(again, other.bulkData[uri]?.segments ?? []);
        const expectedBytes = await gathered(bulkDataOf(file, bulkData)(uri).bytes());
        assert.ok(bytes.subarray(0, expectedBytes.length).equals(expectedBytes), `${name} ${uri}`);
      }
      count += 1;
      if (count % 8 === 0) {
        const copy = path.join(folder, "copy.dcm");
        await writeFile(copy, again);
        const reference = await readByDcmtk(copy, folder);
        assert.deepEqual(Object.keys(reference.json["00080018"] ?? {}), Object.keys(json["00080018"] ?? {}), name);
        dcmtk += 1;
      }
    }
    t.diagnostic(`${count} files written again, ${dcmtk} of them read by DCMTK`);
    assert.ok(count > 200);
  });

  it("is read as XML, too, as DCMTK writes it", async (t) => {
    const tool = path.join(path.dirname(pathOf("dcmtk")), "dcm2xml");
    let count = 0;
    for (const { name, path: at } of (await readableInstances()).filter((_, index) => index % 6 === 0)) {
      const options = { maxBuffer: 64 * 2 ** 20, encoding: "utf8" } as const;
      let xml;
      try {
        ({ stdout: xml } = await run(tool, ["--native-format", "--encode-base64", "+U8", at], options));
      } catch {
        continue;
      }
      const read = wellFormed(xml);
      if (!read) continue;
      const scan = await scanOnce(await readFile(at)).catch(() => undefined);
      if (!scan) continue;
      const { json } = toDicomJson(scan.dataSet, { bulkDataUri });
      const uids = ["0020000D", "00080018", "00280010", "00080060"];
      for (const tag of uids) {
        if (read[tag]?.Value === undefined && json[tag]?.Value === undefined) continue;
        assert.deepEqual(read[tag]?.Value?.[0], json[tag]?.Value?.[0], `${name} ${tag}`);
      }
      count += 1;
    }
    t.diagnostic(`${count} files read`);
    assert.ok(count > 15);
  });
});
