/** Values out of DICOM JSON for tests, typed as they are looked up. */
import { z } from "zod";

const attribute = z.object({ vr: z.string(), Value: z.array(z.unknown()).optional() }).loose();
const dataSet = z.record(z.string(), attribute);

/** A data set of the DICOM JSON Model. */
export type JsonDataSet = z.infer<typeof dataSet>;

/** Checks that `value` is a data set. */
export function toDataSet(value: unknown): JsonDataSet {
  return dataSet.parse(value);
}

/** Checks that `value` is a list of data sets. */
export function toDataSets(value: unknown): JsonDataSet[] {
  return z.array(dataSet).parse(value);
}

/** The items of a sequence; none when it is absent. */
export function items(of: JsonDataSet, tag: string): JsonDataSet[] {
  return z.array(dataSet).parse(of[tag]?.Value ?? []);
}

/** The first value of an attribute. */
export function first(of: JsonDataSet | undefined, tag: string): unknown {
  return of?.[tag]?.Value?.[0];
}
