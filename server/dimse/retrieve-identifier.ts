/** Reads what a C-MOVE or C-GET asks for: the unique keys of its level and of those above it (PS3.4 C.4.2, C.4.3). */
import { keywordOf } from "../archive/attribute-name.ts";
import { IdentifierFault } from "../archive/query-identifier.ts";
import type { Selection } from "../archive/selection.ts";
import type { DicomJson } from "../dicom/json.ts";
import { isUid, type Uid } from "../dicom/uid.ts";
import {
  type InformationModel,
  informationModels,
  queryRetrieveLevel,
  type QueryRetrieveLevel,
  uniqueKeys,
} from "./information-models.ts";

/** The levels of each SOP class: of C-MOVE, and of C-GET. */
export const moveLevels = levelsBy(({ moveSopClassUid }) => moveSopClassUid);
export const getLevels = levelsBy(({ getSopClassUid }) => getSopClassUid);

function levelsBy(uidOf: (model: InformationModel) => string): ReadonlyMap<string, readonly QueryRetrieveLevel[]> {
  return new Map(informationModels.map((model) => [uidOf(model), model.levels]));
}

const issuerOfPatientId = "00100021";

/**
 * What is to be sent. The unique key of the level may be a list of UIDs; those above it are single values, which may only
 * be left out in a relational retrieval (PS3.4 C.4.2.2.1, C.4.2.3.1). Issuer of Patient ID is met when it is given.
 * @param levels those of the SOP class
 * @param isRelational whether that was negotiated (PS3.4 C.5.2.1)
 * @throws IdentifierFault naming the element
 */
export function readSelection(
  identifier: DicomJson,
  levels: readonly QueryRetrieveLevel[],
  isRelational: boolean,
): Selection {
  const level = levelOf(identifier, levels);
  const above = levels.slice(0, levels.indexOf(level));
  const keys = new Map<QueryRetrieveLevel, readonly string[]>([[level, valuesOf(identifier, uniqueKeys[level])]]);
  for (const higher of above) {
    const values = valuesOf(identifier, uniqueKeys[higher]);
    if (values.length > 1) throw mismatch(higher, `has more than one value at level ${level}`);
    if (values.length === 0 && !isRelational) throw mismatch(higher, `is missing at level ${level}`);
    if (values.length > 0) keys.set(higher, values);
  }
  if (keys.get(level)?.length === 0) throw mismatch(level, "is missing");
  const patients = keys.get("PATIENT") ?? [];
  if (patients.length > 1) throw mismatch("PATIENT", "has more than one value");
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

function levelOf(identifier: DicomJson, levels: readonly QueryRetrieveLevel[]): QueryRetrieveLevel {
  const [value] = valuesOf(identifier, queryRetrieveLevel);
  const level = levels.find((one) => one === value);
  if (level) return level;
  throw new IdentifierFault(`QueryRetrieveLevel is none of ${levels.join(", ")}.`, [queryRetrieveLevel]);
}

/** The values that are there; empty ones ask for nothing. */
function valuesOf(identifier: DicomJson, tag: string): readonly string[] {
  const values = identifier[tag]?.Value ?? [];
  return values.flatMap((value) => (typeof value === "string" && value !== "" ? [value] : []));
}

function uidsOf(
  keys: ReadonlyMap<QueryRetrieveLevel, readonly string[]>,
  level: QueryRetrieveLevel,
): readonly Uid[] | undefined {
  return keys.get(level)?.map((text) => {
    if (isUid(text)) return text;
    throw mismatch(level, "has a value that is not a UID");
  });
}

function mismatch(level: QueryRetrieveLevel, fault: string): IdentifierFault {
  const tag = uniqueKeys[level];
  return new IdentifierFault(`${keywordOf(tag)} ${fault}.`, [tag]);
}
