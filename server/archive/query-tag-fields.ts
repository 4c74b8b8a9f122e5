/** Values of query tags in search answers: those that `includefield` names, and those that were matched. */
import type { QueryTagState } from "../../storage/catalog-query-tags.ts";
import type { DicomJson, JsonPersonName, JsonValue } from "../dicom/json.ts";
import type { SearchLevel } from "./attributes.ts";
import { isBelow } from "./levels.ts";
import { isMatchedByTable } from "./query-tag-keys.ts";
import { canonicalPath } from "./query-tag-path.ts";

/**
 * The tags, of `level` or of one above, that stand at one of `paths`. What the catalog keeps of an attribute for every
 * search is answered from there.
 */
export function tagsAt(
  level: SearchLevel,
  paths: readonly (readonly string[])[],
  tags: readonly QueryTagState[],
): QueryTagState[] {
  if (level === "patient" || tags.length === 0) return [];
  const wanted = new Set(paths.filter((path) => !isMatchedByTable(level, path)).map(canonicalPath));
  return tags.filter((tag) => wanted.has(tag.path) && !isBelow(tag.level, level));
}

/**
 * Adds the values of `tags` to `answer`: of a study or a series the distinct ones of its instances, in order, instead of
 * those of the first instance; of an instance unless its metadata has told them. A path through a sequence gives an item a value; private tags begin at block 10.
 * @param values canonical, by the id of the tag
 */
export function addTagFields(
  answer: DicomJson,
  tags: readonly QueryTagState[],
  values: Readonly<Record<string, readonly string[] | null>>,
): void {
  for (const tag of tags) {
    const texts = values[tag.id];
    if (!texts?.length) continue;
    const block = tag.privateCreator === "" ? "" : freeBlock(answer, tag);
    const [first = "", ...below] = tag.path.split(".").map((step) => step.replace("xx", block));
    const present = answer[first];
    if (present && (below.length > 0 || tag.level === "instance")) continue;
    const jsonValues = texts.map((text) => toJsonValue(tag.vr, text));
    if (below.length === 0) answer[first] = { vr: tag.vr, Value: jsonValues };
    else answer[first] = { vr: "SQ", Value: jsonValues.map((value) => nested(below, tag, block, value)) };
    addCreator(answer, first, tag, block);
  }
}

/** The block that the creator has in the answer, else the first that nobody has. */
function freeBlock(answer: DicomJson, { path, privateCreator }: QueryTagState): string {
  const group =
    path
      .split(".")
      .find((step) => step.includes("xx"))
      ?.slice(0, 4) ?? "";
  for (let block = 0x10; block <= 0xff; block += 1) {
    const digits = block.toString(16).toUpperCase();
    const creator = answer[`${group}00${digits}`]?.Value?.[0];
    if (creator === undefined || creator === privateCreator) return digits;
  }
  return "10";
}

function nested(
  [step = "", ...below]: readonly string[],
  tag: QueryTagState,
  block: string,
  value: JsonValue,
): DicomJson {
  const inside =
    below.length === 0 ? { vr: tag.vr, Value: [value] } : { vr: "SQ", Value: [nested(below, tag, block, value)] };
  const item: DicomJson = { [step]: inside };
  addCreator(item, step, tag, block);
  return item;
}

/** PS3.5 7.8.1: in every data set that has an element of its block. */
function addCreator(json: DicomJson, step: string, { privateCreator }: QueryTagState, block: string): void {
  if (block === "" || Number.parseInt(step.slice(0, 4), 16) % 2 === 0) return;
  json[`${step.slice(0, 4)}00${block}`] = { vr: "LO", Value: [privateCreator] };
}

const numeric = new Set(["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"]);

/** From the canonical form back to that of DICOM JSON. */
function toJsonValue(vr: string, text: string): JsonValue {
  if (vr === "PN") return toName(text);
  if (vr === "DA") return text.replaceAll("-", "");
  if (vr === "TM") return clock(text);
  if (vr === "DT") return toDateTime(text);
  if (!numeric.has(vr)) return text;
  return /^-?\d+$/.test(text) && !Number.isSafeInteger(Number(text)) ? text : Number(text);
}

function toName(text: string): JsonPersonName {
  const [, alphabetic, ideographic, phonetic] = text.split("=");
  return {
    ...(alphabetic && { Alphabetic: alphabetic }),
    ...(ideographic && { Ideographic: ideographic }),
    ...(phonetic && { Phonetic: phonetic }),
  };
}

function clock(text: string): string {
  const [time = "", fraction = ""] = text.split(".");
  const digits = fraction.replace(/0+$/, "");
  return time.replaceAll(":", "") + (digits && `.${digits}`);
}

/** As it was written, with the offset that lies between that and UTC. */
function toDateTime(text: string): string {
  const [date = "", time = "", utcDate = "", utcTime = ""] = text.split(" ");
  const minutes =
    (Date.parse(`${date}T${time.slice(0, 8)}Z`) - Date.parse(`${utcDate}T${utcTime.slice(0, 8)}Z`)) / 60_000;
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  const offset = `${minutes < 0 ? "-" : "+"}${String(hours).padStart(2, "0")}${String(rest).padStart(2, "0")}`;
  return date.replaceAll("-", "") + clock(time) + (minutes === 0 ? "" : offset);
}
