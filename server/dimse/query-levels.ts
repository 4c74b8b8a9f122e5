/** Checks at which level a query is made, and that it names one entity of each level above (PS3.4 C.4.1). */
import type { SearchLevel } from "../archive/attributes.ts";
import { IdentifierFault } from "../archive/query-identifier.ts";
import type { DicomJson, JsonValue } from "../dicom/json.ts";
import { keywordOf } from "../archive/attribute-name.ts";
import {
  type InformationModel,
  queryRetrieveLevel,
  type QueryRetrieveLevel,
  uniqueKeys,
} from "./information-models.ts";

/** The levels of a search by Query/Retrieve Level. */
export const searchLevels: Readonly<Record<QueryRetrieveLevel, SearchLevel>> = {
  PATIENT: "patient",
  STUDY: "study",
  SERIES: "series",
  IMAGE: "instance",
};

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
  const above = levels.slice(0, levels.indexOf(level)).map((each) => uniqueKeys[each]);
  const missing = above.filter((tag) => !isSingleValue(identifier[tag]?.Value));
  if (missing.length === 0) return;
  const keywords = missing.map(keywordOf).join(", ");
  throw new IdentifierFault(`${level} needs one ${keywords}.`, missing);
}

function isSingleValue(values: readonly JsonValue[] = []): boolean {
  const [value] = values;
  return values.length === 1 && typeof value === "string" && !/[*?]/.test(value);
}
