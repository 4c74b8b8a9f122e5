/** Compares the metadata of Noctis with an independent reading, attribute by attribute, and says every difference. */
import { jsonModel, type Reference, type ReferenceAttribute, type ReferenceJson } from "./reference-json.ts";

/** The bytes of a BulkDataURI. */
export type FetchBulkData = (uri: string) => Promise<Buffer>;

/** VRs whose text depends on the character set. */
const localised = new Set(["SH", "LO", "ST", "LT", "UC", "UT", "PN"]);

/** Attributes that Noctis adds or changes on purpose: the output is UTF-8; the stored syntax; pixel data apart. */
const ours = new Set(["00080005", "00083002", "7FE00010"]);

/** Every difference in words; none when the two say the same. */
export async function differences(
  metadata: ReferenceJson,
  reference: Reference,
  fetchBulkData: FetchBulkData,
  path = "",
): Promise<string[]> {
  const found: string[] = [];
  for (const tag of new Set([...Object.keys(metadata), ...Object.keys(reference.json)])) {
    if (ours.has(tag)) continue;
    const [mine, theirs] = [metadata[tag], reference.json[tag]];
    const at = `${path}${tag}`;
    if (!mine || !theirs) {
      found.push(`${at} ${mine ? "is not in the reference" : "is missing"}`);
      continue;
    }
    found.push(...(await differ(mine, theirs, reference.textIsComparable, fetchBulkData, at)));
  }
  return found;
}

async function differ(
  mine: ReferenceAttribute,
  theirs: ReferenceAttribute,
  textIsComparable: boolean,
  fetchBulkData: FetchBulkData,
  at: string,
): Promise<string[]> {
  if (mine.vr !== theirs.vr) {
    // DCMTK knows private attributes of some makers; in implicit VR nothing else tells their VR.
    return mine.vr === "UN" && isPrivate(at) ? [] : [`${at} has VR ${mine.vr}, not ${theirs.vr}`];
  }
  if (mine.vr === "SQ") return differingItems(mine, theirs, textIsComparable, fetchBulkData, at);
  if (localised.has(mine.vr) && !textIsComparable) return [];
  if (mine.BulkDataURI !== undefined) {
    const bytes = await fetchBulkData(mine.BulkDataURI);
    return sameBytes(bytes.toString("base64"), theirs) ? [] : [`${at} has other bulk data`];
  }
  if (mine.InlineBinary !== undefined) return sameBytes(mine.InlineBinary, theirs) ? [] : [`${at} has other bytes`];
  const same = canonical(mine) === canonical(theirs);
  return same ? [] : [`${at} is ${canonical(mine).slice(0, 200)}, not ${canonical(theirs).slice(0, 200)}`];
}

async function differingItems(
  mine: ReferenceAttribute,
  theirs: ReferenceAttribute,
  textIsComparable: boolean,
  fetchBulkData: FetchBulkData,
  at: string,
): Promise<string[]> {
  const [items, expected] = [mine.Value ?? [], theirs.Value ?? []];
  if (items.length !== expected.length) return [`${at} has ${items.length} items, not ${expected.length}`];
  const found: string[] = [];
  for (const [index, item] of items.entries()) {
    const reference = { json: jsonModel.parse(expected[index] ?? {}), textIsComparable };
    found.push(...(await differences(jsonModel.parse(item), reference, fetchBulkData, `${at}/${index + 1}/`)));
  }
  return found;
}

function isPrivate(at: string): boolean {
  return Number.parseInt(at.slice(-8, -4), 16) % 2 === 1;
}

/** DCMTK writes values of odd length, which the standard forbids, with the missing padding byte; floats as numbers. */
function sameBytes(base64: string, theirs: ReferenceAttribute): boolean {
  if (theirs.InlineBinary === undefined) return false;
  const [mine, other] = [Buffer.from(base64, "base64"), Buffer.from(theirs.InlineBinary, "base64")];
  return mine.equals(other) || (mine.length % 2 === 1 && Buffer.concat([mine, Buffer.alloc(1)]).equals(other));
}

/** The values as one text. FL and FD are written with differing numbers of digits; DCMTK drops `^` at the end. */
function canonical({ vr, Value = [] }: ReferenceAttribute): string {
  const values = Value.map((value) => {
    if (vr === "FL" && typeof value === "number") return Math.fround(value);
    if (vr === "FD" && typeof value === "number") return Number(value.toPrecision(13));
    if ((vr === "DS" || vr === "IS") && typeof value === "string") return Number(value);
    if (vr === "PN")
      return JSON.stringify(value ?? {})
        .replaceAll(/[\^ ]+"/g, '"')
        .replaceAll(/"[A-Za-z]+":"",?/g, "");
    return value;
  });
  return JSON.stringify(values.every((value) => value === null || value === "{}") ? [] : values);
}
