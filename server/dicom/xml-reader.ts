/** Reads the Native DICOM Model (PS3.19 A.1), the XML form of a data set, into the DICOM JSON Model. */
import { SaxesParser, type SaxesTagNS } from "saxes";
import { ArchiveError } from "../errors.ts";
import { entryOfKeyword, tagHex } from "./dictionary.ts";
import { deepest, readDataSet, type Tell } from "./json-reader.ts";
import type { DicomJson } from "./json.ts";
import { PrivateBlocks } from "./private-blocks.ts";

const namespace = "http://dicom.nema.org/PS3.19/models/NativeDICOM";

/** Components of one group of a name, in the order of PS3.5 6.2.1.1. */
const nameComponents = ["FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix"] as const;
const nameGroups = ["Alphabetic", "Ideographic", "Phonetic"];

/** Which element may stand in which (PS3.19 A.1.5 and A.1.6). */
const parents: Readonly<Record<string, readonly string[]>> = {
  NativeDicomModel: [""],
  DicomAttribute: ["NativeDicomModel", "Item"],
  Value: ["DicomAttribute"],
  Item: ["DicomAttribute"],
  PersonName: ["DicomAttribute"],
  BulkData: ["DicomAttribute"],
  InlineBinary: ["DicomAttribute"],
  ...Object.fromEntries(nameGroups.map((group) => [group, ["PersonName"]])),
  ...Object.fromEntries(nameComponents.map((component) => [component, nameGroups])),
};

/** Elements of one document: in memory they take many times their bytes. */
const mostElements = 1_500_000;

/** Values of one document that it leaves out between others, by their numbers. */
const mostGaps = 100_000;

/** What is being read: a data set, or an attribute of one. */
interface OpenDataSet {
  readonly attributes: Record<string, unknown>;
  readonly blocks: PrivateBlocks;
}
interface OpenAttribute {
  readonly tag: string;
  readonly vr: string | undefined;
  readonly values: unknown[];
  /** What the open value, name or item says its `number` is; counts from 1. */
  number?: number | undefined;
  inline?: string;
  uri?: string;
}

/**
 * The data set that `text` holds. Elements with and without the namespace of PS3.19 are read; document types and
 * elements that the model does not have are refused. Private attributes whose block the model leaves out get one
 * (PS3.19 A.1.5: `privateCreator`), and values come out as `readDataSet` gives them.
 * @throws ArchiveError `malformed-metadata`, or `invalid-request` when the text is not well-formed XML
 */
export function parseNativeXml(text: string): DicomJson {
  const parser = new NativeXmlParser();
  parser.push(text);
  return parser.end();
}

/** The same of a text that comes in pieces. */
export class NativeXmlParser {
  readonly #reader = new NativeXmlReader();
  readonly #parser = new SaxesParser({ xmlns: true, position: false });

  constructor() {
    const reader = this.#reader;
    this.#parser.on("error", (error) => {
      throw unreadable("is not well-formed", error);
    });
    this.#parser.on("doctype", () => {
      throw malformed("has a document type, which is not read");
    });
    this.#parser.on("opentag", (tag) => reader.open(tag));
    this.#parser.on("text", (piece) => reader.text(piece));
    this.#parser.on("cdata", (piece) => reader.text(piece));
    this.#parser.on("closetag", () => reader.close());
  }

  /** Reads the next piece. @throws ArchiveError `malformed-metadata`, `invalid-request` */
  push(text: string): void {
    this.#guarded(() => this.#parser.write(text));
  }

  /**
   * The data set, when `text` was the last piece; `tell` as in `readDataSet`.
   * @throws ArchiveError `malformed-metadata`, `invalid-request`
   */
  end(text = "", tell?: Tell): DicomJson {
    this.#guarded(() => this.#parser.write(text).close());
    return readDataSet(this.#reader.document(), tell);
  }

  #guarded(action: () => void): void {
    try {
      action();
    } catch (cause) {
      if (cause instanceof ArchiveError) throw cause;
      throw unreadable("cannot be read", cause);
    }
  }
}

/** The error for a text that is no XML, or too much of it: as of a text that is not JSON. */
function unreadable(fault: string, cause?: unknown): ArchiveError {
  return new ArchiveError("invalid-request", `The XML metadata ${fault}.`, { cause });
}

function malformed(fault: string, cause?: unknown): ArchiveError {
  return new ArchiveError("malformed-metadata", `The XML metadata ${fault}.`, { cause });
}

class NativeXmlReader {
  readonly #names: string[] = [];
  readonly #dataSets: OpenDataSet[] = [];
  readonly #attributes: OpenAttribute[] = [];
  #document: Record<string, unknown> | undefined;
  #text = "";
  #elements = 0;
  #gaps = 0;
  /** Component groups of the name that is open, and the components of the open group. */
  #groups: Record<string, string> = {};
  #components: string[] = [];

  open(tag: SaxesTagNS): void {
    const { local, uri } = tag;
    this.#elements += 1;
    if (this.#elements > mostElements) throw unreadable(`holds more than ${mostElements} elements`);
    const known = Object.hasOwn(parents, local) && (uri === "" || uri === namespace);
    if (!known || !parents[local]?.includes(this.#names.at(-1) ?? "")) {
      throw malformed(`holds the element ${JSON.stringify(tag.name.slice(0, 40))} where PS3.19 A.1 has none`);
    }
    this.#names.push(local);
    this.#text = "";
    if (local === "Value" || local === "PersonName" || local === "Item") this.#number(tag);
    if (local === "NativeDicomModel" || local === "Item") this.#openDataSet();
    else if (local === "DicomAttribute") this.#openAttribute(tag);
    else if (local === "PersonName") this.#groups = {};
    else if (nameGroups.includes(local)) this.#components = [];
    else if (local === "BulkData") this.#bulkData(tag);
  }

  text(piece: string): void {
    this.#text += piece;
  }

  close(): void {
    const name = this.#names.pop() ?? "";
    const attribute = this.#attributes.at(-1);
    const component = nameComponents.findIndex((known) => known === name);
    if (component >= 0) this.#components[component] = this.#text;
    else if (nameGroups.includes(name)) this.#groups[name] = this.#nameGroup();
    else if (name === "PersonName") this.#add(this.#groups);
    else if (name === "Value") this.#add(this.#text === "" ? null : this.#text);
    else if (name === "InlineBinary" && attribute) attribute.inline = this.#text;
    else if (name === "DicomAttribute") this.#closeAttribute();
    else if (name === "Item") this.#dataSets.pop();
    this.#text = "";
  }

  document(): Record<string, unknown> {
    if (!this.#document) throw unreadable("holds no data set");
    return this.#document;
  }

  #openDataSet(): void {
    if (this.#dataSets.length > deepest) throw malformed(`nests sequences more than ${deepest} deep`);
    const attributes: Record<string, unknown> = {};
    if (this.#dataSets.length > 0) this.#add(attributes);
    this.#document ??= attributes;
    this.#dataSets.push({ attributes, blocks: new PrivateBlocks(attributes) });
  }

  /** The tag may be left out where a keyword says it, and the VR where the dictionary does. */
  #openAttribute({ attributes }: SaxesTagNS): void {
    // Annex B of PS3.18 writes some names with a capital.
    const given = (name: string) => (attributes[name.toLowerCase()] ?? attributes[name])?.value;
    const keyword = given("Keyword");
    const entry = keyword === undefined ? undefined : entryOfKeyword(keyword);
    const tag = given("Tag") ?? (entry && tagHex(entry.tag));
    if (tag === undefined || !/^[0-9A-Fa-f]{8}$/.test(tag)) {
      throw malformed("holds a DicomAttribute whose tag is not eight hexadecimal digits");
    }
    const dataSet = this.#dataSets.at(-1);
    if (!dataSet) throw malformed("holds an attribute outside a data set");
    const place = dataSet.blocks.place(tag.toUpperCase(), attributes["privateCreator"]?.value);
    if (Object.hasOwn(dataSet.attributes, place)) throw malformed(`holds the attribute ${place} twice`);
    this.#attributes.push({ tag: place, vr: given("VR") || undefined, values: [] });
  }

  #closeAttribute(): void {
    const attribute = this.#attributes.pop();
    const dataSet = this.#dataSets.at(-1);
    if (!attribute || !dataSet) return;
    const { tag, vr, values, inline, uri } = attribute;
    dataSet.attributes[tag] = {
      ...(vr !== undefined && { vr }),
      ...(values.length > 0 && { Value: values }),
      ...(inline !== undefined && { InlineBinary: inline }),
      ...(uri !== undefined && { BulkDataURI: uri }),
    };
  }

  /** PS3.19 A.1.5: bulk data by URI, or by a UUID, which then names the part. */
  #bulkData({ attributes }: SaxesTagNS): void {
    const attribute = this.#attributes.at(-1);
    const uri = attributes["uri"]?.value ?? attributes["URI"]?.value ?? attributes["uuid"]?.value;
    if (!attribute || uri === undefined || uri === "") throw malformed("holds a BulkData without uri or uuid");
    if (attribute.uri !== undefined) throw malformed("holds an attribute with more than one BulkData");
    attribute.uri = uri;
  }

  /** PS3.19 A.1.5: the position. A value that is left out is empty, since the others must not take its place. */
  #number({ name, attributes }: SaxesTagNS): void {
    const attribute = this.#attributes.at(-1);
    const written = attributes["number"]?.value.trim();
    if (!attribute || written === undefined) return;
    const number = /^\d{1,9}$/.test(written) ? Number(written) : 0;
    const follows = name.endsWith("Item") ? number > (attribute.number ?? 0) : number > attribute.values.length;
    if (!follows) throw malformed(`numbers the values of ${attribute.tag} out of their order`);
    attribute.number = number;
    if (name.endsWith("Item")) return;
    this.#gaps += number - attribute.values.length - 1;
    if (this.#gaps > mostGaps) throw malformed("leaves out too many values");
    while (attribute.values.length < number - 1) attribute.values.push(null);
  }

  #add(value: unknown): void {
    const attribute = this.#attributes.at(-1);
    if (!attribute) throw malformed("holds a value outside an attribute");
    attribute.values.push(value);
  }

  /** `Family^Given^...` without the carets at the end; a group may also be written as one text. */
  #nameGroup(): string {
    if (this.#components.length === 0) return this.#text.trim();
    return Array.from(this.#components, (component) => component ?? "")
      .join("^")
      .replace(/\^+$/, "");
  }
}
