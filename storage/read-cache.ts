/** Reads answered from memory: whole small objects, and runs of large ones that are fetched ahead of who reads on. */
import { LRUCache } from "lru-cache";
import type { Blobs, ByteRange } from "./blobs.ts";
import { type Arriving, ReadWindow, WindowBroke } from "./read-window.ts";

/** An object that ends within so many bytes is fetched whole. */
const wholeLength = 1024 * 1024;

/** Bytes of the first fetch somewhere in a larger object. */
const firstAhead = 256 * 1024;

/** Who reads on gets twice as much as the last time: between these bytes. */
const [leastAhead, mostAhead] = [1024 * 1024, 8 * 1024 * 1024];

/** Headers of items, padding, and frames that were skipped (bytes): who goes on behind them still reads on. */
const gap = 64 * 1024;

/** What the cache needs of a store. */
export interface ReadSource {
  /** Exactly the bytes of `range`. */
  readonly read: Blobs["read"];
  /** The bytes of `range`, or fewer when the object ends within it. Throws ArchiveError `no-such-blob`. */
  readonly open: (key: string, range: ByteRange) => Promise<Arriving>;
}

export interface ReadCache {
  /** As that of Blobs. Who wants the same bytes as another at the same time waits for the same request. */
  readonly read: Blobs["read"];
  /** Forgets objects. */
  readonly forget: (keys: readonly string[]) => void;
}

/**
 * A cache of `mostBytes`, and of as many that are on their way. Objects are immutable under their keys, so that it is
 * always right, also beside other processes; whether an instance is still there is asked of its row. Bytes that did not
 * all come are not kept.
 */
export function createReadCache(source: ReadSource, mostBytes: number): ReadCache {
  const windows = new Map<string, Set<ReadWindow>>();
  const forgetWindow = (window: ReadWindow) => {
    const ofKey = windows.get(window.key);
    ofKey?.delete(window);
    if (ofKey?.size === 0) windows.delete(window.key);
  };
  const kept = new LRUCache<ReadWindow, true>({
    maxSize: mostBytes,
    sizeCalculation: (_, window) => Math.max(1, window.length),
    dispose: (_, window) => forgetWindow(window),
  });
  let onTheirWay = 0;

  /** Fetches what `range` is in. Its readers wait for its bytes, and not for its end. */
  function fetch(key: string, range: ByteRange): ReadWindow {
    const window = new ReadWindow(key, range.offset, range.length);
    const ofKey = windows.get(key);
    if (ofKey) ofKey.add(window);
    else windows.set(key, new Set([window]));
    onTheirWay += range.length;
    void window
      .fill(() => source.open(key, range))
      .then((isWhole) => {
        onTheirWay -= range.length;
        // It may have been forgotten meanwhile.
        if (isWhole && windows.get(key)?.has(window)) kept.set(window, true);
        else forgetWindow(window);
      });
    return window;
  }

  async function read(key: string, range: ByteRange): Promise<Buffer> {
    const ofKey = [...(windows.get(key) ?? [])];
    const isWithin = ({ start, length }: ReadWindow) =>
      start <= range.offset && range.offset + range.length <= start + length;
    let window = ofKey.find(isWithin);
    if (window) kept.get(window);
    else {
      const wanted = fetchedFor(range, ofKey);
      const isTooMuch = wanted.length > mostBytes / 4 || onTheirWay + wanted.length > mostBytes;
      if (isTooMuch || range.length === 0) return source.read(key, range);
      window = fetch(key, wanted);
    }
    try {
      return await window.read(range.offset, range.length);
    } catch (error) {
      if (error instanceof WindowBroke) return source.read(key, range);
      throw error;
    }
  }

  return {
    read,
    forget: (keys) => {
      for (const key of keys) {
        for (const window of windows.get(key) ?? []) kept.delete(window);
        windows.delete(key);
      }
    },
  };
}

/** What to fetch for a read, by what of the object has been fetched. */
function fetchedFor({ offset, length }: ByteRange, fetched: readonly ReadWindow[]): ByteRange {
  const before = fetched.filter((window) => window.isNear(offset, gap)).map((window) => window.length);
  if (before.length > 0) {
    const ahead = Math.min(mostAhead, Math.max(leastAhead, 2 * Math.max(...before)));
    return { offset, length: Math.max(length, ahead) };
  }
  if (fetched.length === 0 && offset + length <= wholeLength) return { offset: 0, length: wholeLength };
  return { offset, length: Math.max(length, firstAhead) };
}
