/** What jobs are asked to do, as it is kept in their rows. */
import { z } from "zod";
import { entryOfTag } from "../dicom/dictionary.ts";
import type { DicomJson, JsonValue } from "../dicom/json.ts";
import { isUid, type Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { tagOf } from "./attribute-name.ts";
import type { RetrieveMethod } from "./job-runners.ts";
import type { ResourceUids } from "./retrieve.ts";

const uid = z.custom<Uid>((value) => typeof value === "string" && isUid(value));
const resource: z.ZodType<ResourceUids> = z.strictObject({
  studyInstanceUid: uid,
  seriesInstanceUid: uid.exactOptional(),
  sopInstanceUid: uid.exactOptional(),
});

/** Most answers that are kept of a query. */
export const mostAnswers = 1000;

/** What a query asks of a peer. */
export const queryAsked = z.object({
  level: z.enum(["patient", "study", "series", "instance"]),
  /** Keywords or tags, with the value to match; an empty one asks for the attribute to be answered. */
  keys: z.record(z.string(), z.string()),
  /** Answers at most. */
  limit: z.int(),
});

/** What a retrieve asks of a peer. */
export const retrieveAsked = z.object({
  resources: z.array(resource),
  method: z.enum(["auto", "get", "move"]) satisfies z.ZodType<RetrieveMethod>,
});

export type QueryAsked = z.infer<typeof queryAsked>;
export type RetrieveAsked = z.infer<typeof retrieveAsked>;

/** Numbers in the model (PS3.18 F.2.3). */
const numbers: ReadonlySet<string> = new Set(["US", "SS", "UL", "SL", "SV", "UV", "FL", "FD"]);

/**
 * The keys of a query as a data set.
 * @throws ArchiveError `invalid-query`, naming the key
 */
export function keysToJson(keys: Readonly<Record<string, string>>): DicomJson {
  const json: DicomJson = {};
  for (const [name, value] of Object.entries(keys)) {
    if (name.includes("."))
      throw new ArchiveError("invalid-query", `${name} is an attribute of an item, which no query of a peer has.`);
    const tag = tagOf(name, name);
    if (tag in json) throw new ArchiveError("invalid-query", `${name} is given more than once.`);
    const vr = entryOfTag(Number.parseInt(tag, 16))?.vr;
    if (vr === undefined || vr === "SQ")
      throw new ArchiveError("invalid-query", `${name} is no attribute that can be a key.`);
    json[tag] = value === "" ? { vr } : { vr, Value: valuesOf(vr, name, value) };
  }
  return json;
}

function valuesOf(vr: string, name: string, text: string): JsonValue[] {
  return text.split("\\").map((value) => {
    if (vr === "PN") {
      const [Alphabetic = "", Ideographic = "", Phonetic = ""] = value.split("=");
      return { ...(Alphabetic && { Alphabetic }), ...(Ideographic && { Ideographic }), ...(Phonetic && { Phonetic }) };
    }
    if (!numbers.has(vr)) return value;
    const number = Number(value);
    if (value.trim() !== "" && Number.isFinite(number)) return number;
    throw new ArchiveError("invalid-query", `${name} is not a number.`);
  });
}
