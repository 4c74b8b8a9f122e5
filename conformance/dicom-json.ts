/** The DICOM JSON Model (PS3.18 Annex F) as the suite reads it. */
import { Failure } from "./expect.ts";
import { tagOf } from "./dictionary.ts";
import type { Answer } from "./http.ts";

/** One attribute (PS3.18 F.2.2). */
export interface JsonAttribute {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  readonly BulkDataURI?: string;
  readonly InlineBinary?: string;
}

/** One data set: attributes by tag. */
export type JsonDataSet = Readonly<Record<string, JsonAttribute>>;

/** The data sets of a JSON answer; an empty body has none. */
export function dataSetsOf(answer: Answer): JsonDataSet[] {
  if (answer.body.length === 0) return [];
  const parsed: unknown = JSON.parse(answer.body.toString("utf8"));
  if (!Array.isArray(parsed)) throw new Failure("The body is not a JSON array.");
  return parsed.map(toDataSet);
}

/** The data set of a JSON answer that is one. */
export function dataSetOf(answer: Answer): JsonDataSet {
  return toDataSet(JSON.parse(answer.body.toString("utf8")));
}

/** Checks the form of a data set, values left as they are. Throws Failure. */
function toDataSet(value: unknown): JsonDataSet {
  if (!isObject(value)) throw new Failure("A data set is not a JSON object.");
  const entries = Object.entries(value).map(([tag, attribute]): [string, JsonAttribute] => {
    if (!/^[0-9A-F]{8}$/.test(tag)) throw new Failure(`${tag} is not a tag of eight upper-case hexadecimal digits.`);
    if (!isObject(attribute) || typeof attribute["vr"] !== "string") throw new Failure(`${tag} has no vr.`);
    const { Value, BulkDataURI, InlineBinary } = attribute;
    return [
      tag,
      {
        vr: attribute["vr"],
        ...(Array.isArray(Value) && { Value }),
        ...(typeof BulkDataURI === "string" && { BulkDataURI }),
        ...(typeof InlineBinary === "string" && { InlineBinary }),
      },
    ];
  });
  return Object.fromEntries(entries);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The attribute of a keyword (or `ggggeeee:VR`). */
export function attributeOf(dataSet: JsonDataSet | undefined, name: string): JsonAttribute | undefined {
  return dataSet?.[tagOf(name)];
}

/** Its values. */
export function valuesOf(dataSet: JsonDataSet | undefined, name: string): readonly unknown[] {
  return attributeOf(dataSet, name)?.Value ?? [];
}

/** Its first value as text; of a name the alphabetic group. */
export function textOf(dataSet: JsonDataSet | undefined, name: string): string | undefined {
  const [value] = valuesOf(dataSet, name);
  if (isObject(value)) return typeof value["Alphabetic"] === "string" ? value["Alphabetic"] : undefined;
  return typeof value === "string" || typeof value === "number" ? String(value) : undefined;
}

/** The items of a sequence. */
export function itemsOf(dataSet: JsonDataSet | undefined, name: string): JsonDataSet[] {
  return valuesOf(dataSet, name).map(toDataSet);
}
