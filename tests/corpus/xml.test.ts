/** The Native DICOM Model of every readable file of the corpus, compared with what DCMTK's dcm2xml writes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { promisify } from "node:util";
import { SaxesParser } from "saxes";
import { toDicomJson } from "../../server/dicom/json.ts";
import { toNativeXml } from "../../server/dicom/xml.ts";
import { atOnce } from "../support/at-once.ts";
import { pathOf, requirement } from "../support/require.ts";
import { scanOnce } from "../support/scan.ts";
import { readableInstances } from "./files.ts";

const run = promisify(execFile);

/** What one DicomAttribute says. */
interface Written {
  readonly vr: string;
  readonly keyword: string;
  readonly text: string;
}

/** Changed on purpose (the text is UTF-8), or left out of what DCMTK reads here (pixel data, trailing padding, group lengths). */
const ours = /(00080005|7FE00010|FFFCFFFC|0000)$/;

/**
 * Where DCMTK repeats the ideographic name as the phonetic one that is empty, does not know GB18030 and GBK, or does not
 * look into a sequence that was written as UN.
 */
const readOtherwise = /^(charset\/(chrx[12]|gb18030_0x5c)|rt\/rtdose_rle)\.dcm/;

/** Numbers in binary, which DCMTK writes in big endian (PS3.18 8.7.3.3 asks for little endian). */
const words = new Set(["OW", "OF", "OD", "OL", "OV"]);

describe("the XML of every readable file of the corpus", requirement("corpus", "dcmtk"), () => {
  it("says what dcm2xml says", async (t) => {
    const faults: string[] = [];
    let compared = 0;
    await atOnce(await readableInstances(), async (file) => {
      if (readOtherwise.test(file.name)) return;
      const reference = await readByDcmtk(file.path);
      if (reference === undefined) return;
      const { json } = toDicomJson((await scanOnce(await readFile(file.path))).dataSet, { bulkDataUri: (at) => at });
      const mine = attributesOf(toNativeXml(json));
      compared += 1;
      faults.push(...differences(mine, reference).map((fault) => `${file.name}: ${fault}`));
    });
    t.diagnostic(`${compared} files compared`);
    assert.ok(compared > 200);
    assert.deepEqual(faults, []);
  });
});

/** Undefined where DCMTK cannot write the file as XML. */
async function readByDcmtk(file: string): Promise<ReadonlyMap<string, Written> | undefined> {
  const tool = path.join(path.dirname(pathOf("dcmtk")), "dcm2xml");
  const { stdout } = await run(tool, ["--native-format", "--encode-base64", file], {
    maxBuffer: 512 * 2 ** 20,
    encoding: "buffer",
  }).catch(() => ({ stdout: Buffer.alloc(0) }));
  const encoding = /^<\?xml version="1.0"(?: encoding="([^"]+)")?/.exec(stdout.subarray(0, 100).toString("latin1"));
  if (!encoding) return undefined;
  try {
    return attributesOf(new TextDecoder(encoding[1] ?? "utf-8").decode(stdout));
  } catch {
    // DCMTK refers to control characters, which XML does not let it do.
    return undefined;
  }
}

/** The attributes of a document by path: tags, each with its creator, and item numbers. */
function attributesOf(xml: string): Map<string, Written> {
  const found = new Map<string, Written>();
  const at: string[] = [];
  const open: { key: string; vr: string; keyword: string; text: string }[] = [];
  const parser = new SaxesParser();
  parser.on("opentag", ({ name, attributes }) => {
    if (name === "DicomAttribute") {
      at.push(
        `${String(attributes["tag"])}${attributes["privateCreator"] === undefined ? "" : `[${String(attributes["privateCreator"])}]`}`,
      );
      open.push({
        key: at.join("/"),
        vr: String(attributes["vr"]),
        keyword: attributes["keyword"] ?? "",
        text: "",
      });
    } else if (name === "Item") at.push(String(attributes["number"]));
    else if (name === "BulkData") add("<bulk>");
    else if (["Value", "PersonName"].includes(name)) add(`<${String(attributes["number"])}>`);
    else if (name !== "NativeDicomModel" && name !== "InlineBinary") add(`<${name}>`);
  });
  parser.on("text", (text) => add(text));
  parser.on("closetag", ({ name }) => {
    if (name === "DicomAttribute") {
      const { key, ...written } = open.pop() ?? assert.fail();
      found.set(key, { ...written, text: written.text.trim() });
    }
    if (name === "DicomAttribute" || name === "Item") at.pop();
  });
  parser.write(xml).close();
  return found;

  function add(text: string): void {
    const last = open.at(-1);
    if (last) last.text += text;
  }
}

function differences(mine: ReadonlyMap<string, Written>, theirs: ReadonlyMap<string, Written>): string[] {
  const faults: string[] = [];
  for (const key of new Set([...mine.keys(), ...theirs.keys()])) {
    if (ours.test(key) || isWithoutCreator(key)) continue;
    const [one, other] = [mine.get(key), theirs.get(key)];
    const fault = one && other ? differ(one, other) : `is missing ${one ? "there" : "here"}`;
    if (fault !== undefined) faults.push(`${key} ${fault}`);
  }
  return faults;
}

/** A private element whose creator cannot be read: DCMTK leaves out the block all the same. */
function isWithoutCreator(key: string): boolean {
  return Number.parseInt(key.slice(-8, -4), 16) % 2 === 1;
}

function differ(mine: Written, theirs: Written): string | undefined {
  // Bulk data is compared as JSON. DCMTK knows private attributes of some makers, and no keywords of retired ones;
  // it leaves standard attributes that were written as UN.
  if (mine.text === "<bulk>" || words.has(mine.vr) || (theirs.vr === "UN") !== (mine.vr === "UN")) return undefined;
  if (mine.vr !== theirs.vr) return `has VR ${mine.vr}, not ${theirs.vr}`;
  if (mine.keyword !== theirs.keyword && theirs.keyword !== "") return `is ${mine.keyword}, not ${theirs.keyword}`;
  const [one, other] = [canonical(mine), canonical(theirs)];
  // DCMTK pads values of odd length, which the standard forbids.
  const same = one === other || (mine.vr === "UN" && Buffer.from(other, "base64").at(-1) === 0);
  return same ? undefined : `is ${one.slice(0, 150)}, not ${other.slice(0, 150)}`;
}

/** DCMTK puts elements on lines of their own, and writes numbers with other digits. */
function canonical({ vr, text }: Written): string {
  const flat = text
    .replaceAll(/\s*\n\s*(?=<)/g, "")
    .trim()
    .replace(/^<1><Alphabetic>$/, "");
  if (!["DS", "IS", "FL", "FD"].includes(vr)) return flat;
  return flat.replaceAll(/(?<=>)[^<]+/g, (number) => {
    const value = vr === "FL" ? Math.fround(Number(number)) : Number(Number(number).toPrecision(13));
    return String(value);
  });
}
