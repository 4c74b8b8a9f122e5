/** Small DICOM files for tests of the doors, composed with dcmjs: explicit VR little endian, 4 x 4 pixels. */
import dcmjs from "dcmjs";
import { newUid } from "../../server/dicom/uid.ts";

/** Attributes by keyword, as dcmjs takes them. */
export interface Attributes {
  readonly StudyInstanceUID?: string;
  readonly SeriesInstanceUID?: string;
  readonly SOPInstanceUID?: string;
  readonly [keyword: string]: string | number | ArrayBuffer | undefined;
}

/** A composed file and the UIDs in it. */
export interface InstanceFile {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
}

const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const explicitVrLittleEndian = "1.2.840.10008.1.2.1";

/** A UID of its own, of 44 characters always: files that are composed alike are of one length, and so are cut alike. */
function uidOfOneLength(): string {
  let uid: string = newUid();
  while (uid.length !== 44) uid = newUid();
  return uid;
}

/** One instance; `attributes` replace or add to those of a valid secondary capture, with UIDs of its own. */
export function instanceFile(attributes: Attributes = {}): InstanceFile {
  const uids = {
    StudyInstanceUID: attributes.StudyInstanceUID ?? uidOfOneLength(),
    SeriesInstanceUID: attributes.SeriesInstanceUID ?? uidOfOneLength(),
    SOPInstanceUID: attributes.SOPInstanceUID ?? uidOfOneLength(),
  };
  const pixels = Uint8Array.from({ length: 16 }, (_, index) => index * 16);
  const dataSet = {
    SOPClassUID: secondaryCapture,
    PatientName: "Test^Patient",
    PatientID: "TEST-1",
    StudyDate: "20240102",
    StudyTime: "101112",
    Modality: "OT",
    InstanceNumber: 1,
    Rows: 4,
    Columns: 4,
    SamplesPerPixel: 1,
    PhotometricInterpretation: "MONOCHROME2",
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    PixelData: pixels.buffer,
    ...attributes,
    ...uids,
    _vrMap: { PixelData: "OB" },
  };
  const file = new dcmjs.data.DicomDict({
    "00020002": { vr: "UI", Value: [dataSet.SOPClassUID] },
    "00020003": { vr: "UI", Value: [uids.SOPInstanceUID] },
    "00020010": { vr: "UI", Value: [explicitVrLittleEndian] },
  });
  file.dict = dcmjs.data.DicomMetaDictionary.denaturalizeDataset(dataSet);
  return {
    bytes: Buffer.from(file.write()),
    studyInstanceUid: uids.StudyInstanceUID,
    seriesInstanceUid: uids.SeriesInstanceUID,
    sopInstanceUid: uids.SOPInstanceUID,
  };
}

const boundary = "test-boundary-7d1f";

/** Content-Type of `multipartBody`. */
export const multipartType = `multipart/related; type="application/dicom"; boundary=${boundary}`;

/** A STOW-RS body of `files`. */
export function multipartBody(files: readonly Buffer[]): Buffer<ArrayBuffer> {
  const parts = files.flatMap((file) => [
    Buffer.from(`\r\n--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
    file,
  ]);
  return Buffer.concat([...parts, Buffer.from(`\r\n--${boundary}--\r\n`)]);
}
