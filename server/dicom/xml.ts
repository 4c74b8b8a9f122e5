/** Writes the Native DICOM Model (PS3.19 A.1): a data set of the DICOM JSON Model as an XML document. */
import { entryOfTag } from "./dictionary.ts";
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue } from "./json.ts";

/** PS3.19 A.1.6. */
const namespace = "http://dicom.nema.org/PS3.19/models/NativeDICOM";

/** The components of a component group (PS3.5 6.2.1.1), as PS3.19 Table A.1.5-2 names them. */
const nameComponents = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"] as const;

/**
 * One document in UTF-8, attributes in ascending order. A character that XML cannot hold (PS3.5 allows form feed in
 * long text) becomes U+FFFD. An empty value among several is an empty Value, so that the numbers stay those of the data
 * set; NaN and infinity are written as PS3.18 F.2.3 does.
 */
export function toNativeXml(json: DicomJson): string {
  const model = `<NativeDicomModel xmlns="${namespace}" xml:space="preserve">${dataSet(json)}</NativeDicomModel>`;
  return `<?xml version="1.0" encoding="UTF-8"?>\n${model}\n`;
}

function dataSet(json: DicomJson): string {
  let text = "";
  for (const tag of Object.keys(json).sort()) {
    const attribute = json[tag];
    if (attribute) text += element(tag, attribute, json);
  }
  return text;
}

function element(tag: string, attribute: JsonAttribute, around: DicomJson): string {
  const keyword = entryOfTag(Number.parseInt(tag, 16))?.keyword;
  const creator = privateCreator(tag, around);
  // A private element goes by its creator, not by the block that the creator has in this data set (gggg00ee).
  const written = creator === undefined ? tag : `${tag.slice(0, 4)}00${tag.slice(6)}`;
  let head = `<DicomAttribute tag="${written}" vr="${attribute.vr}"`;
  if (keyword !== undefined) head += ` keyword="${keyword}"`;
  if (creator !== undefined) head += ` privateCreator="${escaped(creator)}"`;
  return `${head}>${content(attribute)}</DicomAttribute>`;
}

function content({ Value: values, InlineBinary: binary, BulkDataURI: uri }: JsonAttribute): string {
  if (values) return values.map((value, index) => numbered(value, index + 1)).join("");
  if (binary !== undefined) return `<InlineBinary>${binary}</InlineBinary>`;
  return uri === undefined ? "" : `<BulkData uri="${escaped(uri)}"/>`;
}

function numbered(value: JsonValue, number: number): string {
  if (value === null) return `<Value number="${number}"/>`;
  if (typeof value !== "object") return `<Value number="${number}">${escaped(String(value))}</Value>`;
  if (isPersonName(value)) return `<PersonName number="${number}">${componentGroups(value)}</PersonName>`;
  return `<Item number="${number}">${dataSet(value)}</Item>`;
}

/** Keys of an item are tags. An object without keys is an empty item: the model has no name without groups. */
function isPersonName(value: JsonPersonName | DicomJson): value is JsonPersonName {
  return ["Alphabetic", "Ideographic", "Phonetic"].some((group) => group in value);
}

function componentGroups(name: JsonPersonName): string {
  return (["Alphabetic", "Ideographic", "Phonetic"] as const)
    .map((group) => (name[group] ? `<${group}>${components(name[group])}</${group}>` : ""))
    .join("");
}

/** More than five components break PS3.5 6.2.1.1; what is too much stays with the last. */
function components(group: string): string {
  const parts = group.split("^");
  const texts = [...parts.slice(0, 4), parts.slice(4).join("^")];
  return nameComponents
    .map((component, index) => (texts[index] ? `<${component}>${escaped(texts[index])}</${component}>` : ""))
    .join("");
}

/** The Private Creator (PS3.5 7.8.1) that reserves the block of a private element in the same data set. */
function privateCreator(tag: string, around: DicomJson): string | undefined {
  if (Number.parseInt(tag.slice(0, 4), 16) % 2 === 0 || tag.startsWith("00", 4)) return undefined;
  const creator = around[`${tag.slice(0, 4)}00${tag.slice(4, 6)}`]?.Value?.[0];
  return typeof creator === "string" ? creator : undefined;
}

/** XML 1.0 2.2: every character that a document may not hold, escaped or not. */
// oxlint-disable-next-line no-control-regex -- these are what is looked for
const illegal = /[\0-\x08\x0B\x0C\x0E-\x1F\uFFFE\uFFFF]/g;

/** A carriage return that is written as it is would be read as a line feed (XML 1.0 2.11). */
const references: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "\r": "&#13;",
};

function escaped(text: string): string {
  const legal = text.toWellFormed().replaceAll(illegal, "\uFFFD");
  return /[&<>"\r]/.test(legal) ? legal.replaceAll(/[&<>"\r]/g, (character) => references[character] ?? "") : legal;
}
