/** Whether an object is what its row says: there, of the right size, of the right SHA-256. */
import { createHash } from "node:crypto";
import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Blobs } from "../../storage/blobs.ts";
import type { FaultKind } from "../../storage/catalog-integrity.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import { ArchiveError } from "../errors.ts";

/** What is wrong with an object, in one sentence. */
export interface Finding {
  readonly kind: FaultKind;
  readonly detail: string;
}

export interface ReadOptions {
  readonly signal: AbortSignal;
  /** Asked before every piece (bytes), which waits for it. */
  readonly pace?: ((byteLength: number) => Promise<void>) | undefined;
  /** Milliseconds until what is wrong is looked at again; default one second. */
  readonly patience?: number | undefined;
}

/** Bytes that are read at a time: hashing them holds up a request that comes meanwhile for a few milliseconds. */
const pieceLength = 2 * 2 ** 20;

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

/**
 * Reads as many bytes from the store itself, whatever it may have in memory of them, as the row says, piece by piece: between two pieces nothing is open at the store, however long it
 * takes. @throws ArchiveError when the store does not work; the reason of `signal`
 */
export async function read(
  blobs: Blobs,
  row: HeldObject,
  { signal, pace, patience }: ReadOptions,
): Promise<Finding | undefined> {
  return persisting(
    blobs,
    patience,
    async () => {
      const hash = createHash("sha256");
      for (let offset = 0; offset < row.byteLength; offset += pieceLength) {
        signal.throwIfAborted();
        const length = Math.min(pieceLength, row.byteLength - offset);
        await pace?.(length);
        hash.update(await buffer(await blobs.get(row.key, { offset, length })));
      }
      if (hash.digest().equals(row.sha256)) return undefined;
      return { kind: "wrong-sha256", detail: "The bytes are not those that were stored: their SHA-256 is another." };
    },
    async () => {
      const entry = await blobs.stat(row.key);
      return (entry && sizeFault(entry.byteLength, row)) ?? missing;
    },
  );
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
  whenAbsent: () => Promise<Finding> = async () => missing,
): Promise<Finding | undefined> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await look();
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      if (error.code === "no-such-blob") return whenAbsent();
      const wait = waits[attempt];
      if (wait === undefined) {
        await blobs.check();
        return { kind: "unreadable", detail: `The store works, but not for this object: ${error.message}` };
      }
      await sleep(wait * patience);
    }
  }
}
