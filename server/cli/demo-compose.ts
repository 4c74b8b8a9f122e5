/** Composes a DICOM file of the demonstration: UIDs, the modules all its instances share, and the bytes. */
import { createHash } from "node:crypto";

import dcmjs from "dcmjs";

import type { Identifiers } from "./import-instance.ts";

const explicitVrLittleEndian = "1.2.840.10008.1.2.1";

/** Value of an attribute: one value, several, a sequence of data sets, or bytes. An empty array is a Type 2 without value. */
export type AttributeValue = string | number | ArrayBuffer | Dataset | readonly (string | number | Dataset)[];

/** A data set by keyword (PS3.6), without the elements that `compose` adds. */
export interface Dataset {
  readonly [keyword: string]: AttributeValue;
}

/** A composed instance: its file and the UIDs in it. */
export interface DemoFile {
  /** What the report calls it. */
  readonly name: string;
  readonly identifiers: Required<Identifiers>;
  readonly bytes: Buffer;
}

/** One study of the demonstration. Times are local, as DICOM DA and TM. */
export interface DemoStudy {
  readonly key: string;
  readonly description: string;
  readonly date: string;
  readonly time: string;
}

/** One series of a study. */
export interface DemoSeries {
  readonly study: DemoStudy;
  readonly key: string;
  readonly number: number;
  readonly modality: string;
  readonly description: string;
}

/**
 * A UID that is the same in every run: 2.25 and a UUID as a decimal number (PS3.5 B.2), the UUID made from a hash of
 * `name` with the version and variant bits of RFC 9562 (version 8: made by the application's own rule).
 */
export function demoUid(name: string): string {
  const hash = createHash("sha256").update(`noctis demonstration/${name}`).digest();
  hash.writeUInt8((hash.readUInt8(6) & 0x0f) | 0x80, 6);
  hash.writeUInt8((hash.readUInt8(8) & 0x3f) | 0x80, 8);
  return `2.25.${BigInt(`0x${hash.toString("hex", 0, 16)}`)}`;
}

/** A Decimal String of at most 16 characters (PS3.5 6.2). */
export function decimal(value: number): string {
  return String(Number(value.toFixed(6)));
}

/** Patient, General Study, General Series, General Equipment and SOP Common (PS3.3 C.7.1.1 to C.7.5.1, C.12.1). */
function commonModules(series: DemoSeries, identifiers: Required<Identifiers>, instanceNumber: number): Dataset {
  const { study } = series;
  return {
    SpecificCharacterSet: "ISO_IR 192",
    SOPClassUID: identifiers.sopClassUid,
    SOPInstanceUID: identifiers.sopInstanceUid,
    StudyDate: study.date,
    SeriesDate: study.date,
    StudyTime: study.time,
    SeriesTime: study.time,
    AccessionNumber: `DEMO${demoUid(study.key).slice(-6)}`,
    Modality: series.modality,
    Manufacturer: "Noctis",
    InstitutionName: "Noctis demonstration",
    ReferringPhysicianName: [],
    StudyDescription: study.description,
    SeriesDescription: series.description,
    ManufacturerModelName: "Synthetic phantom",
    DeviceSerialNumber: "1",
    SoftwareVersions: "1",
    PatientName: "Demo^Phantom",
    PatientID: "DEMO-0001",
    PatientBirthDate: "19700101",
    PatientSex: "O",
    PatientComments: "Synthetic: computed, not a person",
    StudyInstanceUID: identifiers.studyInstanceUid,
    SeriesInstanceUID: identifiers.seriesInstanceUid,
    StudyID: "1",
    SeriesNumber: String(series.number),
    InstanceNumber: String(instanceNumber),
  };
}

/** What dcmjs writes of a data set; the VR that PS3.6 leaves open (OB or OW) follows from the bits of a sample. */
function toElements(dataset: Dataset): ReturnType<typeof dcmjs.data.DicomMetaDictionary.denaturalizeDataset> {
  const pixelVr = dataset["BitsAllocated"] === 8 ? "OB" : "OW";
  return dcmjs.data.DicomMetaDictionary.denaturalizeDataset({ ...dataset, _vrMap: { PixelData: pixelVr } });
}

/** One DICOM file, explicit VR little endian. `own` holds what its IOD needs beyond the modules that all share. */
export function compose(series: DemoSeries, sopClassUid: string, instanceNumber: number, own: Dataset): DemoFile {
  const identifiers = {
    sopClassUid,
    studyInstanceUid: demoUid(series.study.key),
    seriesInstanceUid: demoUid(`${series.study.key}/${series.key}`),
    sopInstanceUid: demoUid(`${series.study.key}/${series.key}/${instanceNumber}`),
    transferSyntaxUid: explicitVrLittleEndian,
  };
  const meta = toElements({
    FileMetaInformationVersion: Uint8Array.of(0, 1).buffer,
    MediaStorageSOPClassUID: sopClassUid,
    MediaStorageSOPInstanceUID: identifiers.sopInstanceUid,
    TransferSyntaxUID: explicitVrLittleEndian,
    ImplementationClassUID: demoUid("implementation"),
    ImplementationVersionName: "NOCTIS_DEMO",
  });
  const file = new dcmjs.data.DicomDict(meta);
  file.dict = toElements({ ...commonModules(series, identifiers, instanceNumber), ...own });
  const name = `${series.description} ${instanceNumber}`;
  return { name, identifiers, bytes: Buffer.from(file.write()) };
}
