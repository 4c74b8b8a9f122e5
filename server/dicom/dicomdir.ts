/** A DICOMDIR (PS3.3 F, PS3.10 8): gathers what it says of each file, and gives its bytes. */
import {
  type DirectoryRecordType,
  instanceRecordType,
  patientRecord,
  seriesRecord,
  studyRecord,
} from "./directory-records.ts";
import { entryOfTag } from "./dictionary.ts";
import type { DicomJson, JsonAttribute } from "./json.ts";
import { dataSetBytes, part10Header } from "./part10-writer.ts";
import { newUid, parseUid } from "./uid.ts";

/** Media Storage Directory Storage (PS3.4 I.4). */
const mediaStorageDirectory = parseUid("1.2.840.10008.1.3.10");
const explicitVrLittleEndian = parseUid("1.2.840.10008.1.2.1");

const specificCharacterSet = "00080005";

const tag = {
  fileSetId: "00041130",
  firstRecord: "00041200",
  lastRecord: "00041202",
  consistencyFlag: "00041212",
  nextRecord: "00041400",
  recordInUse: "00041410",
  lowerRecord: "00041420",
  recordType: "00041430",
  referencedFileId: "00041500",
  referencedSopClassUid: "00041510",
  referencedSopInstanceUid: "00041511",
  referencedTransferSyntaxUid: "00041512",
} as const;

/** Where the two offsets lie in an item: behind its header, and the first elements of every record. */
const nextRecordAt = 8 + 8;
const lowerRecordAt = nextRecordAt + 4 + 10 + 8;

interface Entry {
  /** Place among its siblings, from 1. */
  readonly index: number;
  readonly bytes: Buffer;
  readonly below: Map<string, Entry>;
}

/** One file set. Instances may be added in any order; those of a patient, study and series are put together. */
export class DicomDirectory {
  readonly #patients = new Map<string, Entry>();

  /**
   * Adds an instance by its metadata, and gives the File ID (PS3.10 8.2) under which it must be put: four components
   * of eight characters.
   */
  add(metadata: DicomJson, transferSyntaxUid: string): readonly string[] {
    // Two hospitals may give the same ID to different people: the issuer tells them apart.
    const patientKey = JSON.stringify(["00100020", "00100021", "00100010"].map((key) => metadata[key]?.Value));
    const patient = entryOf(this.#patients, patientKey, () => record(patientRecord, metadata));
    const study = entryOf(patient.below, text(metadata, "0020000D"), () => record(studyRecord, metadata));
    const series = entryOf(study.below, text(metadata, "0020000E"), () => record(seriesRecord, metadata));
    const sopClassUid = text(metadata, "00080016");
    const sopInstanceUid = text(metadata, "00080018");
    const index = series.below.get(sopInstanceUid)?.index ?? series.below.size + 1;
    const fileId = [
      component("PA", patient.index),
      component("ST", study.index),
      component("SE", series.index),
      component("IM", index),
    ];
    const type = instanceRecordType(sopClassUid, metadata["00280010"] !== undefined);
    entryOf(series.below, sopInstanceUid, () =>
      record(type, metadata, {
        [tag.referencedFileId]: { vr: "CS", Value: fileId },
        [tag.referencedSopClassUid]: { vr: "UI", Value: [sopClassUid] },
        [tag.referencedSopInstanceUid]: { vr: "UI", Value: [sopInstanceUid] },
        [tag.referencedTransferSyntaxUid]: { vr: "UI", Value: [transferSyntaxUid] },
      }),
    );
    return fileId;
  }

  /** The file. */
  encode(): Buffer {
    const content = {
      sopClassUid: mediaStorageDirectory,
      sopInstanceUid: newUid(),
      transferSyntaxUid: explicitVrLittleEndian,
    };
    const head = part10Header(content);
    const before = head.length + rootBytes(0, 0).length + sequenceHeader(0).length;
    const items: Buffer[] = [];
    const end = link(this.#patients, before, items);
    const first = this.#patients.size === 0 ? 0 : before;
    return Buffer.concat([head, rootBytes(first, end.last), sequenceHeader(end.at - before), ...items]);
  }
}

function rootBytes(first: number, last: number): Buffer {
  return dataSetBytes({
    [tag.fileSetId]: { vr: "CS", Value: ["NOCTIS"] },
    [tag.firstRecord]: { vr: "UL", Value: [first] },
    [tag.lastRecord]: { vr: "UL", Value: [last] },
    [tag.consistencyFlag]: { vr: "US", Value: [0] },
  });
}

/** Directory Record Sequence (0004,1220), of `length` bytes. */
function sequenceHeader(length: number): Buffer {
  const bytes = Buffer.from([0x04, 0x00, 0x20, 0x12, 0x53, 0x51, 0, 0, 0, 0, 0, 0]);
  bytes.writeUInt32LE(length, 8);
  return bytes;
}

/** Puts the records of one entity and of those below it into `items` from offset `at` on, each with its offsets. */
function link(entries: ReadonlyMap<string, Entry>, at: number, items: Buffer[]): { at: number; last: number } {
  let position = at;
  let last = 0;
  let previous: Buffer | undefined;
  for (const { bytes, below } of entries.values()) {
    previous?.writeUInt32LE(position, nextRecordAt);
    previous = bytes;
    last = position;
    items.push(bytes);
    position += bytes.length;
    bytes.writeUInt32LE(below.size === 0 ? 0 : position, lowerRecordAt);
    position = link(below, position, items).at;
  }
  previous?.writeUInt32LE(0, nextRecordAt);
  return { at: position, last };
}

/** The item of one record, with offsets of 0. */
function record(
  { name, keys, optionalKeys = [] }: DirectoryRecordType,
  metadata: DicomJson,
  reference: DicomJson = {},
): Buffer {
  const dataSet = dataSetBytes({
    [tag.nextRecord]: { vr: "UL", Value: [0] },
    [tag.recordInUse]: { vr: "US", Value: [0xffff] },
    [tag.lowerRecord]: { vr: "UL", Value: [0] },
    [tag.recordType]: { vr: "CS", Value: [name] },
    ...reference,
    ...Object.fromEntries(keys.map((key) => [key, emptyOf(key)])),
    ...Object.fromEntries([...keys, ...optionalKeys, specificCharacterSet].flatMap((key) => keyOf(metadata, key))),
  });
  const header = Buffer.from([0xfe, 0xff, 0x00, 0xe0, 0, 0, 0, 0]);
  header.writeUInt32LE(dataSet.length, 4);
  return Buffer.concat([header, dataSet]);
}

/** A value that lies in the file alone, or that is ill-formed, has no place in a directory. */
function keyOf(metadata: DicomJson, key: string): [string, JsonAttribute][] {
  const found = metadata[key];
  if (found === undefined) return [];
  try {
    dataSetBytes({ [key]: found });
    return [[key, found]];
  } catch {
    return [];
  }
}

function emptyOf(key: string): JsonAttribute {
  return { vr: entryOfTag(Number.parseInt(key, 16))?.vr ?? "UN" };
}

function entryOf(entries: Map<string, Entry>, key: string, make: () => Buffer): Entry {
  const found = entries.get(key);
  if (found) return found;
  const made: Entry = { index: entries.size + 1, bytes: make(), below: new Map() };
  entries.set(key, made);
  return made;
}

function component(prefix: string, index: number): string {
  return `${prefix}${`${index}`.padStart(6, "0")}`;
}

function text(metadata: DicomJson, name: string): string {
  const value = metadata[name]?.Value?.[0];
  return typeof value === "string" ? value : "";
}
