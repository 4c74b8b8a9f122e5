/** Color palettes: instances that belong to no patient. */
import dcmjs from "dcmjs";
import { newUid } from "../../server/dicom/uid.ts";

/** SOP Class of color palettes. */
export const colorPalette = "1.2.840.10008.5.1.4.39.1";

/** A composed file and its UID. */
export interface Palette {
  readonly uid: string;
  readonly bytes: Buffer<ArrayBuffer>;
}

/** A color palette (PS3.3 A.58) with lookup tables of 4096 bytes. */
export function palette(label: string, extra: Readonly<Record<string, string>> = {}): Palette {
  const uid = extra["SOPInstanceUID"] ?? newUid();
  const table = Uint8Array.from({ length: 4096 }, (_, index) => index % 251).buffer;
  const file = new dcmjs.data.DicomDict({
    "00020002": { vr: "UI", Value: [colorPalette] },
    "00020003": { vr: "UI", Value: [uid] },
    "00020010": { vr: "UI", Value: ["1.2.840.10008.1.2.1"] },
  });
  file.dict = dcmjs.data.DicomMetaDictionary.denaturalizeDataset({
    SOPClassUID: colorPalette,
    ContentLabel: label,
    ContentDescription: `The palette ${label}`,
    ContentCreatorName: "Maler^Max",
    ContentDate: "20240203",
    RedPaletteColorLookupTableData: table,
    ...extra,
    SOPInstanceUID: uid,
    _vrMap: { RedPaletteColorLookupTableData: "OW" },
  });
  return { uid, bytes: Buffer.from(file.write()) };
}
