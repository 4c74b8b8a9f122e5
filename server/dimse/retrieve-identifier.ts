/** Reads what a C-MOVE or C-GET asks for: the unique keys of its level and of those above it (PS3.4 C.4.2, C.4.3). */
import type { Selection } from "../archive/selection.ts";
import { tagLabel } from "../dicom/dictionary.ts";
import type { DicomJson } from "../dicom/json.ts";
import { isUid, type Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";

/** Levels of the information models, the highest first (PS3.4 C.6), with their unique keys. */
const uniqueKeys = { PATIENT: "00100020", STUDY: "0020000D", SERIES: "0020000E", IMAGE: "00080018" } as const;

type RetrieveLevel = keyof typeof uniqueKeys;

const studyRoot: readonly RetrieveLevel[] = ["STUDY", "SERIES", "IMAGE"];
const patientStudyOnly: readonly RetrieveLevel[] = ["PATIENT", "STUDY"];
const patientRoot: readonly RetrieveLevel[] = ["PATIENT", "STUDY", "SERIES", "IMAGE"];

/** The levels of each SOP class (PS3.4 C.6.1 to C.6.3): of C-MOVE, and of C-GET. */
export const moveLevels: ReadonlyMap<string, readonly RetrieveLevel[]> = new Map([
  ["1.2.840.10008.5.1.4.1.2.1.2", patientRoot],
  ["1.2.840.10008.5.1.4.1.2.2.2", studyRoot],
  ["1.2.840.10008.5.1.4.1.2.3.2", patientStudyOnly],
]);
export const getLevels: ReadonlyMap<string, readonly RetrieveLevel[]> = new Map([
  ["1.2.840.10008.5.1.4.1.2.1.3", patientRoot],
  ["1.2.840.10008.5.1.4.1.2.2.3", studyRoot],
  ["1.2.840.10008.5.1.4.1.2.3.3", patientStudyOnly],
]);

const queryRetrieveLevel = "00080052";
const issuerOfPatientId = "00100021";

/**
 * What is to be sent. The unique key of the level may be a list of UIDs; those above it are single values, which may only
 * be left out in a relational retrieval (PS3.4 C.4.2.2.1, C.4.2.3.1). Issuer of Patient ID is met when it is given.
 * @param levels those of the SOP class
 * @param isRelational whether that was negotiated (PS3.4 C.5.2.1)
 * @throws ArchiveError `identifier-mismatch`, naming the element
 */
export function readSelection(
  identifier: DicomJson,
  levels: readonly RetrieveLevel[],
  isRelational: boolean,
): Selection {
  const level = levelOf(identifier, levels);
  const above = levels.slice(0, levels.indexOf(level));
  const keys = new Map<RetrieveLevel, readonly string[]>([[level, valuesOf(identifier, uniqueKeys[level])]]);
  for (const higher of above) {
    const values = valuesOf(identifier, uniqueKeys[higher]);
    if (values.length > 1) throw mismatch(`${label(higher)} has more than one value at level ${level}.`);
    if (values.length === 0 && !isRelational) throw mismatch(`${label(higher)} is missing at level ${level}.`);
    if (values.length > 0) keys.set(higher, values);
  }
  if (keys.get(level)?.length === 0) throw mismatch(`${label(level)} is missing.`);
  const patients = keys.get("PATIENT") ?? [];
  if (patients.length > 1) throw mismatch(`${label("PATIENT")} has more than one value.`);
  const [patientId] = patients;
  const [issuer] = patientId === undefined ? [] : valuesOf(identifier, issuerOfPatientId);
  return {
    patientId,
    issuerOfPatientId: issuer,
    studyInstanceUids: uidsOf(keys, "STUDY"),
    seriesInstanceUids: uidsOf(keys, "SERIES"),
    sopInstanceUids: uidsOf(keys, "IMAGE"),
  };
}

function levelOf(identifier: DicomJson, levels: readonly RetrieveLevel[]): RetrieveLevel {
  const [value] = valuesOf(identifier, queryRetrieveLevel);
  const level = levels.find((one) => one === value);
  if (level) return level;
  throw mismatch(`Query/Retrieve Level (0008,0052) is none of ${levels.join(", ")}.`);
}

/** The values that are there; empty ones ask for nothing. */
function valuesOf(identifier: DicomJson, tag: string): readonly string[] {
  const values = identifier[tag]?.Value ?? [];
  return values.flatMap((value) => (typeof value === "string" && value !== "" ? [value] : []));
}

function uidsOf(keys: ReadonlyMap<RetrieveLevel, readonly string[]>, level: RetrieveLevel): readonly Uid[] | undefined {
  return keys.get(level)?.map((text) => {
    if (isUid(text)) return text;
    throw mismatch(`${label(level)} has a value that is not a UID.`);
  });
}

function label(level: RetrieveLevel): string {
  return tagLabel(Number.parseInt(uniqueKeys[level], 16));
}

function mismatch(message: string): ArchiveError {
  return new ArchiveError("identifier-mismatch", message);
}
