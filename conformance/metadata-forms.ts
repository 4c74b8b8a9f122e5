/** Writes data sets as DICOM JSON (PS3.18 Annex F) and as the Native DICOM Model (PS3.19 A.1), for storing. */
import { entryOf } from "./dictionary.ts";
import type { Content, DataSet } from "./write-dicom.ts";

/** Where a value is put: the data set refers to it by this address. */
export type References = Readonly<Record<string, string>>;

/** The data set in JSON; bytes stand inline unless `references` has an address for their name. */
export function toJson(dataSet: DataSet, references: References = {}): Record<string, object> {
  const entries = Object.entries(dataSet).map(([name, content]): [string, object] => {
    const { tag, vr } = entryOf(name);
    const uri = references[name];
    if (uri !== undefined) return [tag, { vr, BulkDataURI: uri }];
    if (Buffer.isBuffer(content)) return [tag, { vr, InlineBinary: content.toString("base64") }];
    const values = valuesOf(content);
    return [tag, values.length === 0 ? { vr } : { vr, Value: values.map((value) => jsonValue(vr, value)) }];
  });
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The data set as one XML document. Sequences are left out: the checks store none by XML. */
export function toXml(dataSet: DataSet, references: References = {}): string {
  const attributes = Object.entries(dataSet).map(([name, content]) => {
    const { tag, vr } = entryOf(name);
    const head = `<DicomAttribute tag="${tag}" vr="${vr}"${name.includes(":") ? "" : ` keyword="${name}"`}>`;
    return `${head}${xmlContent(vr, content, references[name])}</DicomAttribute>`;
  });
  const root = '<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">';
  return `<?xml version="1.0" encoding="UTF-8"?>${root}${attributes.join("")}</NativeDicomModel>`;
}

type Scalar = string | number | bigint;

function valuesOf(content: Exclude<Content, Buffer>): readonly (Scalar | DataSet)[] {
  if (typeof content === "object") return content;
  return content === "" ? [] : [content];
}

function jsonValue(vr: string, value: Scalar | DataSet): unknown {
  if (typeof value === "object") return toJson(value);
  if (vr === "PN") return personName(String(value));
  return typeof value === "bigint" ? String(value) : value;
}

function personName(text: string): object {
  const [alphabetic, ideographic, phonetic] = text.split("=");
  return {
    Alphabetic: alphabetic,
    ...(ideographic !== undefined && { Ideographic: ideographic }),
    ...(phonetic !== undefined && { Phonetic: phonetic }),
  };
}

function xmlContent(vr: string, content: Content, uri: string | undefined): string {
  if (uri !== undefined) return `<BulkData uri="${uri}"/>`;
  if (Buffer.isBuffer(content)) return `<InlineBinary>${content.toString("base64")}</InlineBinary>`;
  return valuesOf(content)
    .map((value, index) => {
      const text = typeof value === "object" ? "" : escaped(String(value));
      if (vr !== "PN") return `<Value number="${index + 1}">${text}</Value>`;
      const [family = "", given = ""] = text.split("^");
      const names = `<FamilyName>${family}</FamilyName><GivenName>${given}</GivenName>`;
      return `<PersonName number="${index + 1}"><Alphabetic>${names}</Alphabetic></PersonName>`;
    })
    .join("");
}

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
