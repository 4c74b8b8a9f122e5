/** The information models of Query/Retrieve (PS3.4 C.6), their levels, and the unique key of each. */
import type { SearchLevel } from "../archive/attributes.ts";
import { IdentifierFault } from "../archive/query-identifier.ts";
import type { DicomJson, JsonValue } from "../dicom/json.ts";
import { keywordOf } from "../archive/attribute-name.ts";

/** Query/Retrieve Level (0008,0052). */
export type QueryRetrieveLevel = "PATIENT" | "STUDY" | "SERIES" | "IMAGE";

export const queryRetrieveLevel = "00080052";

/** What a level is. */
interface LevelRow {
  readonly search: SearchLevel;
  /** Tag of the attribute that tells its entities apart. */
  readonly uniqueKey: string;
}

/** By Query/Retrieve Level (PS3.4 C.6.1.1). */
export const queryRetrieveLevels: Readonly<Record<QueryRetrieveLevel, LevelRow>> = {
  PATIENT: { search: "patient", uniqueKey: "00100020" },
  STUDY: { search: "study", uniqueKey: "0020000D" },
  SERIES: { search: "series", uniqueKey: "0020000E" },
  IMAGE: { search: "instance", uniqueKey: "00080018" },
};

/** A model: its levels from the root down, and its SOP classes. */
export interface InformationModel {
  readonly name: string;
  readonly levels: readonly QueryRetrieveLevel[];
  readonly findSopClassUid: string;
  readonly moveSopClassUid: string;
  readonly getSopClassUid: string;
}

/** PS3.4 C.6.1, C.6.2, and C.6.3 of former years: retired, and still asked for. */
export const informationModels: readonly InformationModel[] = [
  model("Patient Root", ["PATIENT", "STUDY", "SERIES", "IMAGE"], "1.2.840.10008.5.1.4.1.2.1"),
  model("Study Root", ["STUDY", "SERIES", "IMAGE"], "1.2.840.10008.5.1.4.1.2.2"),
  model("Patient/Study Only", ["PATIENT", "STUDY"], "1.2.840.10008.5.1.4.1.2.3"),
];

function model(name: string, levels: readonly QueryRetrieveLevel[], uid: string): InformationModel {
  return { name, levels, findSopClassUid: `${uid}.1`, moveSopClassUid: `${uid}.2`, getSopClassUid: `${uid}.3` };
}

/**
 * The Query/Retrieve Level of `identifier`.
 * @throws IdentifierFault when it is absent, or none of `model`
 */
export function levelOf(identifier: DicomJson, { name, levels }: InformationModel): QueryRetrieveLevel {
  const [value, ...others] = identifier[queryRetrieveLevel]?.Value ?? [];
  const level = levels.find((each) => each === value);
  if (level !== undefined && others.length === 0) return level;
  const fault = value === undefined ? "is missing" : `is none of ${name}`;
  throw new IdentifierFault(`QueryRetrieveLevel ${fault}.`, [queryRetrieveLevel]);
}

/**
 * Refuses an identifier that does not name the one entity of each level above `level` in which it looks (PS3.4
 * C.4.1.2.1): to leave one out would mean every patient, or every study, that there is.
 * @throws IdentifierFault
 */
export function requireUniqueKeys(
  identifier: DicomJson,
  { levels }: InformationModel,
  level: QueryRetrieveLevel,
): void {
  const above = levels.slice(0, levels.indexOf(level)).map((each) => queryRetrieveLevels[each].uniqueKey);
  const missing = above.filter((tag) => !isSingleValue(identifier[tag]?.Value));
  if (missing.length === 0) return;
  const keywords = missing.map(keywordOf).join(", ");
  throw new IdentifierFault(`${level} needs one ${keywords}.`, missing);
}

function isSingleValue(values: readonly JsonValue[] = []): boolean {
  const [value] = values;
  return values.length === 1 && typeof value === "string" && !/[*?]/.test(value);
}
