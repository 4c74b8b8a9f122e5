/** Files written from metadata, byte by byte where it matters: headers, padding, lengths, fragments, refusals. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readDataSet } from "../../server/dicom/json-reader.ts";
import { type DicomJson, toDicomJson } from "../../server/dicom/json.ts";
import { type ByteSource, type FileContent, part10File } from "../../server/dicom/part10-writer.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { ArchiveError } from "../../server/errors.ts";
import { scanned } from "../support/scan.ts";

const content: FileContent = {
  sopClassUid: parseUid("1.2.3"),
  sopInstanceUid: parseUid("1.2.4"),
  transferSyntaxUid: parseUid("1.2.840.10008.1.2.1"),
  bulkData: () => source(Buffer.from("odd")),
};

function source(bytes: Buffer): ByteSource {
  return {
    byteLength: bytes.length,
    async *bytes() {
      yield bytes;
    },
  };
}

async function written(dataSet: unknown, changes: Partial<FileContent> = {}): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of part10File(readDataSet(dataSet), { ...content, ...changes })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The data set behind the preamble (132 bytes) and the file meta information. */
async function body(dataSet: unknown, changes: Partial<FileContent> = {}): Promise<string> {
  const file = await written(dataSet, changes);
  const { dataSetOffset } = await scanned(file);
  return file.subarray(dataSetOffset).toString("latin1");
}

const bytesOf = (...pieces: readonly (string | readonly number[])[]) =>
  Buffer.concat(pieces.map((piece) => (typeof piece === "string" ? Buffer.from(piece) : Buffer.from(piece)))).toString(
    "latin1",
  );

describe("writing a file", () => {
  it("begins with preamble, prefix and file meta information", async () => {
    const file = await written({});
    assert.ok(file.subarray(0, 128).equals(Buffer.alloc(128)));
    assert.equal(file.toString("latin1", 128, 132), "DICM");
    assert.equal(file.readUInt32LE(140), file.length - 144);
    const { meta, transferSyntax } = await scanned(file);
    assert.deepEqual(
      meta.elements.map(({ tag, vr }) => [tag & 0xffff, vr]),
      [
        [0, "UL"],
        [1, "OB"],
        [2, "UI"],
        [3, "UI"],
        [0x10, "UI"],
        [0x12, "UI"],
        [0x13, "SH"],
      ],
    );
    assert.equal(transferSyntax.uid, "1.2.840.10008.1.2.1");
  });

  it("writes each VR as PS3.5 has it, in the order of tags", async () => {
    const dataSet = {
      "00280010": { vr: "US", Value: [258] },
      "00080018": { vr: "UI", Value: ["1.2"] },
      "00080060": { vr: "CS", Value: ["CTX"] },
      "00281050": { vr: "DS", Value: [1.5, -2, "+3.0"] },
      "00280009": { vr: "AT", Value: ["00181063"] },
      "00189306": { vr: "FD", Value: [1, "-inf"] },
      "0018991E": { vr: "SV", Value: ["-2"] },
      "00420011": { vr: "OB", InlineBinary: "AQID" },
      "00200013": { vr: "IS" },
    };
    const elements = [
      bytesOf([8, 0, 0x18, 0], "UI", [4, 0], "1.2\0"),
      bytesOf([8, 0, 0x60, 0], "CS", [4, 0], "CTX "),
      bytesOf([0x18, 0, 6, 0x93], "FD", [16, 0], [0, 0, 0, 0, 0, 0, 0xf0, 0x3f], [0, 0, 0, 0, 0, 0, 0xf0, 0xff]),
      bytesOf([0x18, 0, 0x1e, 0x99], "SV", [0, 0, 8, 0, 0, 0], [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
      bytesOf([0x20, 0, 0x13, 0], "IS", [0, 0]),
      bytesOf([0x28, 0, 9, 0], "AT", [4, 0], [0x18, 0, 0x63, 0x10]),
      bytesOf([0x28, 0, 0x10, 0], "US", [2, 0, 2, 1]),
      bytesOf([0x28, 0, 0x50, 0x10], "DS", [12, 0], "1.5\\-2\\+3.0 "),
      bytesOf([0x42, 0, 0x11, 0], "OB", [0, 0, 4, 0, 0, 0, 1, 2, 3, 0]),
    ];
    assert.equal(await body(dataSet), elements.join(""));
  });

  it("writes items, empty sequences, and text in UTF-8 that says so", async () => {
    const dataSet = {
      "00080005": { vr: "CS", Value: ["ISO_IR 100"] },
      "00100010": { vr: "PN", Value: [{ Alphabetic: "Ä", Phonetic: "a" }, null] },
      "00400275": { vr: "SQ", Value: [{ "00400007": { vr: "LO", Value: ["é"] } }, {}] },
      "00400555": { vr: "SQ" },
    };
    const sequence = (element: number, length: number) =>
      bytesOf(
        [0x40, 0, element & 0xff, element >> 8],
        "SQ",
        [0, 0],
        length === 0 ? [0, 0, 0, 0] : [255, 255, 255, 255],
      );
    const open = bytesOf([0xfe, 0xff, 0, 0xe0, 255, 255, 255, 255]);
    const close = bytesOf([0xfe, 0xff, 0x0d, 0xe0, 0, 0, 0, 0]);
    assert.equal(
      await body(dataSet),
      bytesOf([8, 0, 5, 0], "CS", [10, 0], "ISO_IR 192") +
        bytesOf([0x10, 0, 0x10, 0], "PN", [6, 0], "Ä==a\\") +
        sequence(0x0275, -1) +
        open +
        bytesOf([0x40, 0, 7, 0], "LO", [2, 0], "é") +
        close +
        open +
        close +
        bytesOf([0xfe, 0xff, 0xdd, 0xe0, 0, 0, 0, 0]) +
        sequence(0x0555, 0),
    );
    const unsaid = await body({ "00100020": { vr: "LO", Value: ["é"] } });
    assert.match(unsaid, /ISO_IR 192/);
    assert.doesNotMatch(await body({ "00100020": { vr: "LO", Value: ["e"] } }), /ISO_IR/);
  });

  it("reads bulk data when its place comes, and pads it", async () => {
    const dataSet = {
      "00420011": { vr: "OB", BulkDataURI: "a" },
      "00420010": { vr: "ST", BulkDataURI: "b" },
      "00420012": { vr: "LO", Value: ["x"] },
    };
    assert.equal(
      await body(dataSet),
      bytesOf([0x42, 0, 0x10, 0], "ST", [4, 0], "odd ") +
        bytesOf([0x42, 0, 0x11, 0], "OB", [0, 0, 4, 0, 0, 0], "odd\0") +
        bytesOf([0x42, 0, 0x12, 0], "LO", [2, 0], "x "),
    );
  });

  it("writes what is too long for a 16-bit length as UN, which a reader takes for what it is", async () => {
    const values = Array.from({ length: 20_000 }, (_, index) => index + 0.5);
    const file = await written({ "30060050": { vr: "DS", Value: values } });
    const { dataSet } = await scanned(file);
    const { json } = toDicomJson(dataSet, { bulkDataUri: (path) => path });
    assert.deepEqual(json["30060050"], { vr: "DS", Value: values });
  });

  it("shortens decimal numbers to the 16 characters that a DS has", async () => {
    const numbers = [1 / 3, -1 / 3, 1e-7 / 3, 123456789.12345679, -1.2345678901234567e-200, 0, 1e21];
    const text = await body({ "00281050": { vr: "DS", Value: numbers } });
    const values = text.slice(8).trimEnd().split("\\");
    for (const [index, value] of values.entries()) {
      assert.ok(value.length <= 16, value);
      const [number, exact] = [Number(value), numbers[index] ?? 0];
      assert.ok(Math.abs(number - exact) <= Math.abs(exact) * 1e-8, value);
    }
  });

  it("writes frames as fragments, with lengths where padding would change them", async () => {
    const even = [Buffer.from("frame1"), Buffer.from("fr-2")];
    const file = await written(
      { "7FE00010": { vr: "OW", BulkDataURI: "x" }, FFFAFFFA: { vr: "SQ" } },
      {
        frames: even.map((frame) => source(frame)),
        transferSyntaxUid: parseUid("1.2.840.10008.1.2.4.50"),
      },
    );
    const { pixelData, dataSet, warnings } = await scanned(file);
    assert.deepEqual(warnings, []);
    assert.ok(pixelData?.kind === "encapsulated");
    assert.deepEqual(pixelData.basicOffsetTable, [0, 14]);
    assert.deepEqual(
      dataSet.elements.map(({ tag, vr }) => [tag, vr]),
      [
        [0x7fe00010, "OB"],
        [0xfffafffa, "SQ"],
      ],
    );
    const odd = await scanned(
      await written(
        {},
        {
          frames: [...even, Buffer.from("odd")].map((frame) => source(frame)),
          transferSyntaxUid: parseUid("1.2.840.10008.1.2.4.50"),
        },
      ),
    );
    assert.ok(odd.pixelData?.kind === "encapsulated");
    assert.deepEqual(odd.pixelData.basicOffsetTable, []);
    assert.deepEqual(
      odd.pixelData.fragments.map(({ length }) => length),
      [6, 4, 4],
    );
    const lengths = odd.dataSet.elements.find(({ tag }) => tag === 0x7fe00002)?.value;
    assert.deepEqual(
      [0, 8, 16].map((at) => lengths?.readUInt32LE(at)),
      [6, 4, 3],
    );
    const video = await scanned(
      await written(
        {},
        { frames: [source(Buffer.from("odd"))], video: true, transferSyntaxUid: parseUid("1.2.840.10008.1.2.4.102") },
      ),
    );
    assert.deepEqual(
      video.dataSet.elements.map(({ tag }) => tag),
      [0x7fe00010],
    );
  });

  it("leaves out file meta information, group lengths and how a server kept the instance", async () => {
    const dataSet = Object.fromEntries(
      ["00020010", "00080000", "00083002", "FFFCFFFC"].map((tag) => [tag, { vr: "UN", InlineBinary: "AAAA" }]),
    );
    assert.equal(await body({ ...dataSet, "00100020": { vr: "LO" } }), bytesOf([0x10, 0, 0x20, 0], "LO", [0, 0]));
  });

  it("refuses what cannot be written, before a byte is given", () => {
    const refused = (dataSet: DicomJson, words: RegExp, changes: Partial<FileContent> = {}) =>
      assert.throws(
        () => part10File(dataSet, { ...content, ...changes }),
        (error) => error instanceof ArchiveError && error.code === "malformed-metadata" && words.test(error.message),
      );
    refused({ "00420010": { vr: "ST", Value: ["a", "b"] } }, /^DocumentTitle \(0042,0010\) holds 2 values/);
    refused({ "00280010": { vr: "US", Value: [null] } }, /^Rows \(0028,0010\) holds an empty value/);
    const huge: ByteSource = { ...source(Buffer.alloc(0)), byteLength: 2 ** 32 };
    refused({ "00420011": { vr: "OB", BulkDataURI: "a" } }, /more than 4,294,967,294 bytes/, { bulkData: () => huge });
    refused({}, /a frame of more than/, { frames: [huge] });
  });
});
