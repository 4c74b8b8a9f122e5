/** Identifiers of C-FIND responses (PS3.4 C.4.1.1.3.2): what was asked for, with what was found of it. */
import { type DicomJson, isItem, type JsonAttribute } from "../dicom/json.ts";
import { type QueryRetrieveLevel, queryRetrieveLevel } from "./information-models.ts";

const retrieveAeTitle = "00080054";
const instanceAvailability = "00080056";

/**
 * The identifier that answers `asked`: every attribute of it, empty where nothing is known, and where to retrieve.
 * @param found what the archive has of the match
 * @param aeTitle of this application
 */
export function findAnswer(asked: DicomJson, found: DicomJson, level: QueryRetrieveLevel, aeTitle: string): DicomJson {
  return {
    ...asIn(asked, found),
    [queryRetrieveLevel]: { vr: "CS", Value: [level] },
    [retrieveAeTitle]: { vr: "AE", Value: [aeTitle] },
    [instanceAvailability]: { vr: "CS", Value: ["ONLINE"] },
  };
}

/** The attributes of `found` that are in `asked`, and the others without a value. */
function asIn(asked: DicomJson, found: DicomJson): DicomJson {
  const answer: DicomJson = {};
  for (const tag of Object.keys(asked)) {
    const { vr = "UN", Value } = asked[tag] ?? {};
    const attribute = found[tag];
    answer[tag] = attribute === undefined ? { vr } : itemsAsIn(Value, attribute);
  }
  return answer;
}

/** Of a sequence that was asked for with an item, as much of each item. */
function itemsAsIn([asked]: NonNullable<JsonAttribute["Value"]> = [], attribute: JsonAttribute): JsonAttribute {
  if (attribute.vr !== "SQ" || !isItem(asked) || Object.keys(asked).length === 0) return attribute;
  const items = attribute.Value?.map((item) => (isItem(item) ? asIn(asked, item) : item));
  return items ? { vr: "SQ", Value: items } : attribute;
}
