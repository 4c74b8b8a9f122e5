/** Room: while less than a reserve is free on a disk nothing is stored, so that no disk is ever really full. */
import { statfs } from "node:fs/promises";
import { ArchiveError } from "../server/errors.ts";
import type { Blobs } from "./blobs.ts";
import type { StorageLog } from "./log.ts";

/** What `createRoom` needs. */
export interface RoomOptions {
  /** A folder on each disk that must keep its reserve; one that is absent is passed over. */
  readonly folders: readonly string[];
  /** Bytes to keep free on each. */
  readonly reserve: number;
  readonly log: StorageLog;
}

/** How long (milliseconds) what the system says of its disks is taken for true. */
const measuredFor = 1000;

/**
 * The same store, which refuses to put while there is no room: before the first byte, and in the middle of an object that
 * would take the reserve. What is there can be read and removed all the same, and other rows can still be written.
 */
export function withRoom(blobs: Blobs, options: RoomOptions): Blobs {
  if (options.reserve === 0 || options.folders.length === 0) return blobs;
  const room = createRoom(options);
  return {
    ...blobs,
    put: (body, putOptions) => blobs.put(room.taking(body), putOptions),
    check: async () => {
      await room.measure();
      await blobs.check();
    },
  };
}

function createRoom({ folders, reserve, log }: RoomOptions) {
  /** Bytes that may be taken before the disks are asked again. */
  let left = 0;
  let measuredAt = Number.NEGATIVE_INFINITY;
  let measuring: Promise<void> | undefined;
  let isFull = false;

  async function ask(): Promise<void> {
    const free = await Promise.all(folders.map(freeBytes));
    left = Math.min(...free) - reserve;
    measuredAt = performance.now();
    if (left < 0 === isFull) return;
    isFull = left < 0;
    if (isFull) log.error({ free, reserve }, "A disk has less free than its reserve: nothing is stored until it has.");
    else log.info({ free, reserve }, "There is room again: instances are stored.");
  }

  /** Asks the disks. @throws ArchiveError `storage-full` */
  async function measure(): Promise<void> {
    measuring ??= ask().finally(() => {
      measuring = undefined;
    });
    await measuring;
    if (left >= 0) return;
    const megabytes = Math.round(reserve / 2 ** 20);
    throw new ArchiveError(
      "storage-full",
      `The disk of the archive has less than ${megabytes} MB free (MIN_FREE_MB): nothing is stored until it has more.`,
    );
  }

  const isOld = () => performance.now() - measuredAt > measuredFor;

  return {
    measure,
    /** `body`, whose bytes are counted. */
    async *taking(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void> {
      if (left <= 0 || isOld()) await measure();
      for await (const chunk of body) {
        left -= chunk.byteLength;
        if (left < 0 || isOld()) await measure();
        yield chunk;
      }
    },
  };
}

/** Bytes that an ordinary user may still write; a folder that cannot be asked has room, and its use will tell. */
async function freeBytes(folder: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
