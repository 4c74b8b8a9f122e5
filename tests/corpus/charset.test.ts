/** Every file of the corpus `charset/` folder: our text against that of DCMTK. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import dicomParser from "dicom-parser";
import { createTextDecoder, splitValues } from "../../server/dicom/charset.ts";
import { corpusPath, requirement } from "../support/require.ts";

/** PatientName of the files that DCMTK on glibc cannot convert: it refuses ISO 2022 IR 87 altogether. */
const beyondDcmtk: Readonly<Record<string, string>> = {
  "chrh31.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
  "chrh32.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
  "chrjapmulti.dcm": "やまだ^たろう",
  "chrjapmultiexplicitir6.dcm": "やまだ^たろう",
  "multivalued_ir87_149.dcm": "Yamada^Tarou=山田^太郎=やまだ^たろう",
};

/** These hold text of their own character set only inside a sequence. */
const sequenceItems: Readonly<Record<string, string>> = {
  "chrsqencoding.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
  "chrsqencoding1.dcm": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
};

interface Text {
  readonly tag: string;
  readonly vr: string;
  readonly values: readonly string[];
}

/** The elements of a data set that Specific Character Set governs, as we decode them, without padding. */
function textsOf(dataSet: dicomParser.DataSet, inherited: readonly string[]): Text[] {
  const own = dataSet.elements["x00080005"] === undefined ? inherited : (dataSet.string("x00080005") ?? "").split("\\");
  const decoder = createTextDecoder(own);
  assert.deepEqual(decoder.unknownTerms, []);
  return Object.values(dataSet.elements).flatMap(({ tag, vr = "UN", dataOffset, length, items = [] }) => {
    const inItems = items.flatMap((item) => (item.dataSet === undefined ? [] : textsOf(item.dataSet, own)));
    // dcm2json leaves the File Meta Information out.
    if (!["SH", "LO", "ST", "LT", "UC", "UT", "PN"].includes(vr) || tag.startsWith("x0002")) return inItems;
    const text = decoder.decode(dataSet.byteArray.subarray(dataOffset, dataOffset + length), vr);
    return [{ tag: tag.slice(1).toUpperCase(), vr, values: splitValues(text, vr).map((value) => value.trimEnd()) }];
  });
}

function nameOf(texts: readonly Text[]): readonly string[] {
  return texts.find(({ tag }) => tag === "00100010")?.values ?? [];
}

/** One value of the DICOM JSON Model as the text it was made from, but for the empty groups of a name. */
function asText(value: unknown): string {
  if (typeof value === "string") return value.trimEnd();
  if (typeof value !== "object" || value === null) return "";
  const group = (name: string): string => String(Object.entries(value).find(([key]) => key === name)?.[1] ?? "");
  return [group("Alphabetic"), group("Ideographic"), group("Phonetic")].join("=").replace(/=+$/, "");
}

/** DCMTK leaves out what is empty: values, component groups, and names of which every component is empty. */
function comparable(values: readonly string[]): string[] {
  return values.map((value) => value.replaceAll(/\^+(?==|$)/g, "").replace(/=+$/, "")).filter((value) => value !== "");
}

function dcmtkTexts(file: string): Map<string, string[]> {
  const json: unknown = JSON.parse(
    execFileSync("dcm2json", [file], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }),
  );
  assert.ok(typeof json === "object" && json !== null);
  return new Map(
    Object.entries(json).map(([tag, element]: [string, { Value?: unknown[] }]) => [
      tag,
      (element.Value ?? []).map(asText),
    ]),
  );
}

describe("charset against the corpus", requirement("corpus", "dcmtk"), () => {
  const files = requirement("corpus", "dcmtk").skip === false ? readdirSync(corpusPath("charset")) : [];
  for (const file of files) {
    it(file, () => {
      const texts = textsOf(dicomParser.parseDicom(readFileSync(corpusPath("charset", file))), []);
      const inItems = sequenceItems[file];
      if (inItems !== undefined)
        return assert.ok(
          texts.some(({ values }) => values.includes(inItems)),
          JSON.stringify(texts),
        );
      const expected = beyondDcmtk[file];
      if (expected !== undefined) return assert.equal(nameOf(texts)[0], expected);
      const theirs = dcmtkTexts(corpusPath("charset", file));
      assert.ok(nameOf(texts).length > 0);
      for (const { tag, values } of texts) assert.deepEqual(comparable(values), comparable(theirs.get(tag) ?? []), tag);
      return undefined;
    });
  }
});
