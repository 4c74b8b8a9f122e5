/** Turns a scanned file into what the catalog keeps of it: identifiers, index values, metadata, frame table. */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { InstanceRecord } from "../../storage/catalog-records.ts";
import { type DataSet, textOf } from "../dicom/data-set.ts";
import { encodeFrameTable } from "../dicom/frame-table.ts";
import { type FrameTable, frameTableOf } from "../dicom/frames.ts";
import { type BulkDataTable, type DicomJson, parseJsonText, toDicomJson, toJsonText } from "../dicom/json.ts";
import type { ScannedFile } from "../dicom/part10.ts";
import { isUid, type Uid, uidFault, uidRule } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { computed } from "./attributes.ts";
import { indexLevel } from "./index-values.ts";
import { nonPatientCategoryOf } from "./non-patient-categories.ts";
import { tagValuesOf } from "./query-tag-values.ts";

/** The UIDs that make an instance what it is (PS3.3 C.12.1, C.7.2.1, C.7.3.1). */
export interface Identifiers {
  readonly sopClassUid: Uid;
  readonly sopInstanceUid: Uid;
  readonly studyInstanceUid: Uid;
  readonly seriesInstanceUid: Uid;
}

/** What is known of the bytes of an instance once they are durable. */
export interface StoredBytes {
  readonly blobKey: string;
  readonly byteLength: number;
  readonly sha256: Buffer;
}

const tag = {
  sopClassUid: 0x00080016,
  sopInstanceUid: 0x00080018,
  studyInstanceUid: 0x0020000d,
  seriesInstanceUid: 0x0020000e,
  mediaStorageSopClassUid: 0x00020002,
  mediaStorageSopInstanceUid: 0x00020003,
} as const;

const pixelDataPath = "7FE00010";

/**
 * The identifiers of a file. A SOP Class UID that is only in the file meta information counts.
 * @throws ArchiveError `missing-identifier`, naming the attribute; `wrong-category`
 */
export function identify({ dataSet, meta }: Pick<ScannedFile, "dataSet" | "meta">): Identifiers {
  const classInMeta = textOf(meta, tag.mediaStorageSopClassUid);
  const sopClassUid = identifier(textOf(dataSet, tag.sopClassUid) ?? classInMeta, "SOPClassUID (0008,0016)");
  const category = nonPatientCategoryOf(sopClassUid);
  if (category !== undefined) {
    throw new ArchiveError(
      "wrong-category",
      `Instances of this SOP class belong to no patient, and are stored as ${category}.`,
    );
  }
  return {
    sopClassUid,
    sopInstanceUid: identifier(textOf(dataSet, tag.sopInstanceUid), "SOPInstanceUID (0008,0018)"),
    studyInstanceUid: identifier(textOf(dataSet, tag.studyInstanceUid), "StudyInstanceUID (0020,000D)"),
    seriesInstanceUid: identifier(textOf(dataSet, tag.seriesInstanceUid), "SeriesInstanceUID (0020,000E)"),
  };
}

function identifier(text: string | undefined, name: string): Uid {
  if (text === undefined) throw new ArchiveError("missing-identifier", `${name} is missing.`);
  if (isUid(text)) return text;
  throw new ArchiveError("missing-identifier", `${name} ${uidRule}.`);
}

/** SOP Class and Instance of a file that is refused, as far as they can be read: for the response. */
export function identifiersForResponse(dataSet: DataSet): { sopClassUid?: string; sopInstanceUid?: string } {
  const sopClassUid = textOf(dataSet, tag.sopClassUid);
  const sopInstanceUid = textOf(dataSet, tag.sopInstanceUid);
  return { ...(sopClassUid && { sopClassUid }), ...(sopInstanceUid && { sopInstanceUid }) };
}

/** What the catalog keeps of an instance, all but what only its durable bytes tell. */
export type Description = (bytes: StoredBytes) => InstanceRecord;

/** Describes a scanned file. @throws ArchiveError `missing-identifier`, `truncated-dicom` */
export function describe(file: ScannedFile): {
  identifiers: Identifiers;
  warnings: readonly string[];
  record: Description;
} {
  const identifiers = identify(file);
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = identifiers;
  const path = `studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
  const { json, bulkData, unknownTerms } = toDicomJson(file.dataSet, {
    bulkDataUri: (bulkPath) => `${path}/bulkdata/${bulkPath}`,
  });
  const frames = frameTableOf(file.dataSet, file.pixelData, file.transferSyntax);
  if (file.pixelData?.kind === "encapsulated" && file.pixelData.undelimited && frames.fault !== undefined) {
    throw new ArchiveError("truncated-dicom", `The file ends behind a fragment of its pixel data. ${frames.fault}`);
  }
  complete(json, file, identifiers);
  withoutDocumentPadding(json, bulkData);
  withoutFrames(bulkData, frames.table);
  const study = indexLevel(json, "study");
  const series = indexLevel(json, "series");
  const instance = indexLevel(json, "instance");
  const warnings = [
    ...file.warnings.map(({ message }) => message),
    ...metaFaults(file, identifiers),
    ...uidFaults(identifiers),
    ...unknownTerms.map(
      (term) => `SpecificCharacterSet has the unknown term ${JSON.stringify(term.slice(0, 32).replaceAll("\0", " "))}.`,
    ),
    ...study.faults,
    ...series.faults,
    ...instance.faults,
    ...(frames.fault === undefined ? [] : [frames.fault]),
  ];
  const metadata = deflateRawSync(toJsonText(json), { level: 4 });
  const frameTable = frames.table && encodeFrameTable(frames.table);
  // Named here, since the description would keep the whole data set otherwise, until it is committed.
  const { dataSetOffset, transferSyntax } = file;
  const record: Description = (bytes) => ({
    study: { uid: studyInstanceUid, columns: study.columns, attributes: study.attributes },
    series: { uid: seriesInstanceUid, columns: series.columns, attributes: series.attributes },
    instance: {
      uid: sopInstanceUid,
      columns: { ...instance.columns, sop_class_uid: identifiers.sopClassUid },
      attributes: instance.attributes,
      metadata,
      transferSyntaxUid: transferSyntax.uid,
      ...bytes,
      dataSetOffset,
      frameTable,
      bulkData: Object.keys(bulkData).length === 0 ? undefined : bulkData,
      warnings,
      tagValues: (tags) => tagValuesOf(json, tags),
    },
  });
  return { identifiers, warnings, record };
}

/** What stored metadata say of their study and their series. */
export function describeLevels(metadata: Buffer) {
  const json = parseJsonText(inflateRawSync(metadata).toString("utf8"));
  return { study: indexLevel(json, "study"), series: indexLevel(json, "series") };
}

/** What the metadata says beyond the data set: the class, also where only the meta information has it; the stored syntax. */
function complete(json: DicomJson, file: ScannedFile, identifiers: Identifiers): void {
  json["00080016"] = { vr: "UI", Value: [identifiers.sopClassUid] };
  json[computed.availableTransferSyntaxUid] = { vr: "UI", Value: [file.transferSyntax.uid] };
}

/** Encapsulated Document Length (0042,0015) tells whether the last byte of the document is padding (PS3.3 C.24.2). */
function withoutDocumentPadding(json: DicomJson, bulkData: BulkDataTable): void {
  const entry = bulkData["00420011"];
  const [segment, ...others] = entry?.segments ?? [];
  if (!entry || !segment || others.length > 0 || json["00420015"]?.Value?.[0] !== segment.length - 1) return;
  bulkData["00420011"] = { ...entry, segments: [{ ...segment, length: segment.length - 1 }] };
}

/** Encapsulated frames are retrieved by the frame table alone, which says the same in a tenth of the bytes. */
function withoutFrames(bulkData: BulkDataTable, table: FrameTable | undefined): void {
  const entry = bulkData[pixelDataPath];
  if (entry && table?.kind === "encapsulated") bulkData[pixelDataPath] = { ...entry, segments: [] };
}

/** UIDs that PS3.5 9.1 forbids and that are stored all the same. */
function uidFaults({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Identifiers): string[] {
  const named = {
    StudyInstanceUID: studyInstanceUid,
    SeriesInstanceUID: seriesInstanceUid,
    SOPInstanceUID: sopInstanceUid,
  };
  return Object.entries(named).flatMap(([name, uid]) => {
    const fault = uidFault(uid);
    return fault === undefined ? [] : [`${name} ${fault}.`];
  });
}

/** The file meta information is not believed where the data set says otherwise; the sender should know. */
function metaFaults({ meta }: ScannedFile, identifiers: Identifiers): string[] {
  const faults: string[] = [];
  const sopClass = textOf(meta, tag.mediaStorageSopClassUid);
  const sopInstance = textOf(meta, tag.mediaStorageSopInstanceUid);
  if (sopClass !== undefined && sopClass !== identifiers.sopClassUid) {
    faults.push("MediaStorageSOPClassUID (0002,0002) differs from SOPClassUID (0008,0016), which counts.");
  }
  if (sopInstance !== undefined && sopInstance !== identifiers.sopInstanceUid) {
    faults.push("MediaStorageSOPInstanceUID (0002,0003) differs from SOPInstanceUID (0008,0018), which counts.");
  }
  return faults;
}
