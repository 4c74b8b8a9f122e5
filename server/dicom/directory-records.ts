/** Directory records (PS3.3 F.5): which type an instance of a SOP class has, and what each type tells of it. */

/** One type of record, with the attributes that it carries, by tag (PS3.3 F.5). */
export interface DirectoryRecordType {
  /** Directory Record Type (0004,1430). */
  readonly name: string;
  /** Types 1 and 2: always there, empty where the instance has no value. */
  readonly keys: readonly string[];
  /** Types 1C and 3: there when the instance has a value. */
  readonly optionalKeys?: readonly string[];
}

const contentDateAndTime = ["00080023", "00080033"] as const;
const instanceNumber = "00200013";
const conceptName = "0040A043";
/** Content Identification Macro (PS3.3 Table 10-12). */
const contentIdentification = [instanceNumber, "00700080", "00700081", "00700084"] as const;

/** PS3.3 F.5.1 to F.5.3. */
export const patientRecord: DirectoryRecordType = {
  name: "PATIENT",
  keys: ["00100010", "00100020"],
  optionalKeys: ["00100021"],
};
export const studyRecord: DirectoryRecordType = {
  name: "STUDY",
  keys: ["00080020", "00080030", "00080050", "00081030", "0020000D", "00200010"],
};
export const seriesRecord: DirectoryRecordType = { name: "SERIES", keys: ["00080060", "0020000E", "00200011"] };

const image: DirectoryRecordType = { name: "IMAGE", keys: [instanceNumber], optionalKeys: ["00080008"] };
const rawData: DirectoryRecordType = { name: "RAW DATA", keys: [...contentDateAndTime, instanceNumber] };

/** Below the root of the storage classes; the first that fits counts. */
const bySopClass: readonly (readonly [pattern: RegExp, type: DirectoryRecordType])[] = [
  [/^4\.2$/, { name: "SPECTROSCOPY", keys: ["00080008", ...contentDateAndTime, instanceNumber, "00280008"] }],
  [/^9\./, { name: "WAVEFORM", keys: [...contentDateAndTime, instanceNumber] }],
  [
    /^11\./,
    {
      name: "PRESENTATION",
      optionalKeys: ["00081115"],
      keys: [instanceNumber, "00700080", "00700081", "00700082", "00700083", "00700084"],
    },
  ],
  [/^66$/, rawData],
  [/^66\.[13]$/, { name: "REGISTRATION", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^66\.2$/, { name: "FIDUCIAL", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^66\.5$/, { name: "SURFACE", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^66\.6$/, { name: "TRACT", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^67$/, { name: "VALUE MAP", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^68\.1$/, { name: "SURFACE SCAN", keys: [...contentDateAndTime] }],
  [/^77\.1\.5\.3$/, { name: "STEREOMETRIC", keys: [...contentDateAndTime, ...contentIdentification] }],
  [/^(78\.|79\.)/, { name: "MEASUREMENT", keys: [...contentDateAndTime, instanceNumber] }],
  [/^88\.59$/, { name: "KEY OBJECT DOC", keys: [...contentDateAndTime, instanceNumber], optionalKeys: [conceptName] }],
  [
    /^88\./,
    {
      name: "SR DOCUMENT",
      keys: [...contentDateAndTime, instanceNumber, "0040A491", "0040A493"],
      optionalKeys: [conceptName],
    },
  ],
  [
    /^104\./,
    {
      name: "ENCAP DOC",
      keys: [...contentDateAndTime, instanceNumber, "00420010", "00420012"],
      optionalKeys: [conceptName, "0040E001"],
    },
  ],
  [/^481\.2$/, { name: "RT DOSE", keys: [instanceNumber, "3004000A"], optionalKeys: ["30040006"] }],
  [/^481\.3$/, { name: "RT STRUCTURE SET", keys: [instanceNumber, "30060002", "30060008", "30060009"] }],
  [/^481\.[58]$/, { name: "RT PLAN", keys: [instanceNumber, "300A0002", "300A0006", "300A0007"] }],
  [/^481\.[4679]$/, { name: "RT TREAT RECORD", keys: [instanceNumber, "30080250", "30080251"] }],
];

const storageRoot = "1.2.840.10008.5.1.4.1.1.";

/** The type of the record of an instance; of an unknown SOP class by whether it has `rows`. */
export function instanceRecordType(sopClassUid: string, hasRows: boolean): DirectoryRecordType {
  const below = sopClassUid.startsWith(storageRoot) ? sopClassUid.slice(storageRoot.length) : "";
  const found = bySopClass.find(([pattern]) => pattern.test(below));
  return found?.[1] ?? (hasRows ? image : rawData);
}
