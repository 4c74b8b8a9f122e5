/** Which attributes a search answers beyond those answered by default (PS3.18 8.3.4.3). */
import { type DicomJson, isItem, type JsonAttribute, type JsonValue } from "../dicom/json.ts";
import { attributeByTag, computed, patientAttributes, type SearchLevel } from "./attributes.ts";

/** Of a sequence, the attributes of its items that are answered; or the attribute as it is. */
export type FieldTree = "whole" | ReadonlyMap<string, FieldTree>;

/** What was asked to be answered beside the defaults. */
export interface IncludedFields {
  /** Every attribute that the catalog keeps of the level searched and of those above. */
  readonly all: boolean;
  /** Whether what is answered by default is answered. */
  readonly defaults: boolean;
  /** By tag: what `includefield` names, and the keys that were matched. */
  readonly fields: ReadonlyMap<string, FieldTree>;
  /** Those of them that only the metadata of an instance has: a look at it for every match. */
  readonly ofMetadata: ReadonlyMap<string, FieldTree>;
}

/** Sequences in sequences that a field may lie in. */
export const deepestField = 8;

const order: readonly SearchLevel[] = ["patient", "study", "series", "instance"];

/** The level of each attribute that is counted or made; the others are answered at every level but the patient's. */
const computedLevels: ReadonlyMap<string, SearchLevel> = new Map([
  [computed.modalitiesInStudy, "study"],
  [computed.sopClassesInStudy, "study"],
  [computed.numberOfStudyRelatedSeries, "study"],
  [computed.numberOfStudyRelatedInstances, "study"],
  [computed.numberOfSeriesRelatedInstances, "series"],
  [computed.availableTransferSyntaxUid, "instance"],
  [computed.instanceAvailability, "study"],
  [computed.retrieveUrl, "study"],
]);

const ofPatients: ReadonlySet<string> = new Set([
  computed.numberOfPatientRelatedStudies,
  computed.numberOfPatientRelatedSeries,
  computed.numberOfPatientRelatedInstances,
]);

/**
 * Groups of the attributes that the instances of a study, or of a series, have in common. Those that the catalog does
 * not keep are answered as the first instance has them, and so are private ones; of an instance, any is.
 */
const commonGroups: Readonly<Record<"study" | "series", ReadonlySet<string>>> = {
  study: new Set(["0010", "0012", "0032", "0038"]),
  series: new Set(["0008", "0010", "0012", "0018", "0032", "0038", "0040"]),
};

/**
 * The fields of a search at `level`, and the tags that it does not answer.
 * @param wanted paths that are asked for
 * @param keys paths of the matching keys
 * @param unasked what is answered beside them
 */
export function includedFields(
  level: SearchLevel,
  wanted: readonly (readonly string[])[],
  keys: readonly (readonly string[])[],
  unasked: "defaults" | "all" | "nothing" = "defaults",
): { included: IncludedFields; unanswered: readonly string[] } {
  const fields = new Map<string, FieldTree>();
  const ofMetadata = new Map<string, FieldTree>();
  const unanswered = new Set<string>();
  for (const path of wanted) {
    const [tag = ""] = path;
    const place = placeOf(tag, level);
    if (place === "catalog") add(fields, path);
    else if (place === "metadata") add(ofMetadata, path);
    else unanswered.add(tag);
  }
  for (const path of keys) if (placeOf(path[0] ?? "", level) === "catalog") add(fields, path);
  const included = { all: unasked === "all", defaults: unasked !== "nothing", fields, ofMetadata };
  return { included, unanswered: [...unanswered] };
}

function placeOf(tag: string, level: SearchLevel): "catalog" | "metadata" | "nowhere" {
  if (level === "patient") return patientAttributes.has(tag) || ofPatients.has(tag) ? "catalog" : "nowhere";
  const known = computedLevels.get(tag) ?? attributeByTag.get(tag)?.level;
  if (known !== undefined) return order.indexOf(known) <= order.indexOf(level) ? "catalog" : "nowhere";
  if (ofPatients.has(tag)) return "nowhere";
  return isPrivate(tag) || level === "instance" || commonGroups[level].has(tag.slice(0, 4)) ? "metadata" : "nowhere";
}

/** PS3.5 7.8: of an odd group. */
function isPrivate(tag: string): boolean {
  return Number.parseInt(tag.slice(0, 4), 16) % 2 === 1;
}

/** Of two paths one of which goes on behind the other, the shorter one counts. */
function add(fields: Map<string, FieldTree>, [tag = "", ...below]: readonly string[]): void {
  const present = fields.get(tag);
  if (present === "whole") return;
  if (below.length === 0) {
    fields.set(tag, "whole");
    return;
  }
  const items = new Map(present);
  add(items, below);
  fields.set(tag, items);
}

/** The attributes of `json` that are in `fields`, and the creators of the private ones (PS3.5 7.8.1). */
export function pickFields(json: DicomJson, fields: ReadonlyMap<string, FieldTree>): DicomJson {
  const picked: DicomJson = {};
  for (const [tag, tree] of fields) {
    const attribute = pickField(json[tag], tree);
    if (!attribute) continue;
    picked[tag] = attribute;
    const creator = `${tag.slice(0, 4)}00${tag.slice(4, 6)}`;
    if (isPrivate(tag) && tag.slice(4, 6) !== "00" && json[creator]) picked[creator] = json[creator];
  }
  return picked;
}

/** The attribute, or of a sequence as much as `tree` says; undefined when there is nothing of it. */
export function pickField(attribute: JsonAttribute | undefined, tree: FieldTree): JsonAttribute | undefined {
  if (tree === "whole" || !attribute) return attribute;
  if (attribute.vr !== "SQ") return undefined;
  const items = attribute.Value?.flatMap((item): JsonValue[] => (isItem(item) ? [pickFields(item, tree)] : []));
  return items ? { vr: "SQ", Value: items } : attribute;
}
