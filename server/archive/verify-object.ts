/** Whether an object is what its row says: there, of the right size, of the right SHA-256. */
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Blobs } from "../../storage/blobs.ts";
import type { FaultKind } from "../../storage/catalog-integrity.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import { ArchiveError } from "../errors.ts";
import { objectBytes } from "./stored-bytes.ts";

/** What is wrong with an object, in one sentence. */
export interface Finding {
  readonly kind: FaultKind;
  readonly detail: string;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Hears of every piece that was read (bytes), and may take its time. */
  readonly pace?: ((byteLength: number) => Promise<void>) | undefined;
  /** Milliseconds until what is wrong is looked at again; default one second. */
  readonly patience?: number | undefined;
}

/** Shares of the patience after which an object that cannot be read is tried again. */
const waits = [0.2, 1, 3];

/** Milliseconds. */
export const usualPatience = 1000;

const missing: Finding = { kind: "missing", detail: "The object is not in the store." };

/** Whether the object is there and as long as it should be, without reading it. @throws ArchiveError when the store does not work */
export async function lookAt(
  blobs: Blobs,
  row: HeldObject,
  { patience }: Pick<ReadOptions, "patience">,
): Promise<Finding | undefined> {
  return persisting(blobs, patience, async () => {
    const entry = await blobs.stat(row.key);
    return entry ? sizeFault(entry.byteLength, row) : missing;
  });
}

/** Reads the object to its end. @throws ArchiveError when the store does not work; the reason of `signal` */
export async function read(
  blobs: Blobs,
  row: HeldObject,
  { signal, pace, patience }: ReadOptions,
): Promise<Finding | undefined> {
  return persisting(blobs, patience, async () => {
    const hash = createHash("sha256");
    let byteLength = 0;
    for await (const chunk of objectBytes(blobs, row.key)) {
      signal.throwIfAborted();
      hash.update(chunk);
      byteLength += chunk.byteLength;
      await pace?.(chunk.byteLength);
    }
    const fault = sizeFault(byteLength, row);
    if (fault || hash.digest().equals(row.sha256)) return fault;
    return { kind: "wrong-sha256", detail: "The bytes are not those that were stored: their SHA-256 is another." };
  });
}

function sizeFault(byteLength: number, row: HeldObject): Finding | undefined {
  if (byteLength === row.byteLength) return undefined;
  return { kind: "wrong-size", detail: `The object has ${byteLength} bytes instead of ${row.byteLength}.` };
}

/** Looks at one object. What the store cannot give of it after several tries is its fault only when the store works otherwise. */
async function persisting(
  blobs: Blobs,
  patience = usualPatience,
  look: () => Promise<Finding | undefined>,
): Promise<Finding | undefined> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      if (error.code === "no-such-blob") return missing;
      const wait = waits[attempt];
      if (wait === undefined) {
        await blobs.check();
        return { kind: "unreadable", detail: `The store works, but not for this object: ${error.message}` };
      }
      await sleep(wait * patience);
    }
  }
}
