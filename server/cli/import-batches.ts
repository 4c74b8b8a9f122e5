/** Groups instances into STOW-RS requests. */
import type { Instance } from "./import-instance.ts";

/** How much one request may carry. An instance larger than `bytes` goes alone. */
export interface BatchLimits {
  readonly instances: number;
  readonly bytes: number;
}

/** Enough instances to hide the round trip, few enough that a retry is cheap. */
export const defaultBatchLimits: BatchLimits = { instances: 16, bytes: 16 * 1024 * 1024 };

/**
 * Groups instances, in order, into requests within `limits`. An instance without SOP Instance UID goes alone, because its
 * outcome could not be told from another's. No SOP Instance UID may occur twice in `instances`.
 */
export function* batches(
  instances: Iterable<Instance>,
  limits: BatchLimits = defaultBatchLimits,
): Generator<Instance[]> {
  let batch: Instance[] = [];
  let bytes = 0;
  for (const instance of instances) {
    if (instance.identifiers.sopInstanceUid === undefined) {
      yield [instance];
      continue;
    }
    const full = batch.length >= limits.instances || bytes + instance.byteLength > limits.bytes;
    if (full && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(instance);
    bytes += instance.byteLength;
  }
  if (batch.length > 0) yield batch;
}

/**
 * Parts instances into those whose SOP Instance UID occurs once and those whose UID occurs again (all of them, in order).
 * The latter are sent one by one and never skipped, so that the server says what becomes of each.
 */
export function partByRepetition(instances: readonly Instance[]): { once: Instance[]; repeated: Instance[] } {
  const counts = new Map<string, number>();
  const count = (instance: Instance): number => counts.get(instance.identifiers.sopInstanceUid ?? "") ?? 0;
  for (const instance of instances) {
    const uid = instance.identifiers.sopInstanceUid;
    if (uid !== undefined) counts.set(uid, count(instance) + 1);
  }
  return {
    once: instances.filter((instance) => count(instance) <= 1),
    repeated: instances.filter((instance) => count(instance) > 1),
  };
}
