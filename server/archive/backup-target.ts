/** Reading and writing files of a backup: compressed, each with its SHA-256; errors that name the backup. */
import { createHash, type Hash } from "node:crypto";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { constants, createZstdCompress, createZstdDecompress } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import { ArchiveError, type ErrorCode } from "../errors.ts";
import type { SnapshotFile } from "./backup-layout.ts";

/** What is said when the store of the backup fails, which is another than that of the archive. */
const sentences: Partial<Record<ErrorCode, string>> = {
  "storage-full": "The target of the backup is full.",
  "storage-unavailable": "The target of the backup does not work, or cannot be written.",
  "no-such-blob": "A file of the backup is missing.",
};

/** Runs `work` on the target; what it throws names the target. */
export async function onTarget<Result>(work: () => Promise<Result>): Promise<Result> {
  try {
    return await work();
  } catch (error) {
    throw targetError(error);
  }
}

/** An error of the target as one that names it. */
export function targetError(error: unknown): unknown {
  const sentence = error instanceof ArchiveError ? sentences[error.code] : undefined;
  if (!(error instanceof ArchiveError) || sentence === undefined) return error;
  const code = error.code === "no-such-blob" ? "backup-damaged" : error.code;
  return new ArchiveError(code, sentence, { cause: error });
}

/** Whether an error tells that a file of the backup cannot be used, rather than that the target does not answer. */
export function isDamage(error: unknown): boolean {
  return error instanceof ArchiveError && (error.code === "backup-damaged" || error.code === "backup-newer");
}

/** Runs `work` on a target, and closes it. */
export async function onceOpen<Result>(target: Blobs, work: (target: Blobs) => Promise<Result>): Promise<Result> {
  try {
    return await work(target);
  } finally {
    await target.close();
  }
}

/** Writes `source` compressed. What `source` throws is rethrown, and nothing is left then. */
export async function putCompressed(target: Blobs, key: string, source: AsyncIterable<Buffer>): Promise<SnapshotFile> {
  const hash = createHash("sha256");
  // Metadata are deflated already: a higher level costs twice the time and saves nothing.
  const compressed = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 1 } });
  const failed: { fault?: unknown } = {};
  const feeding = pipeline(Readable.from(recording(source, failed), { objectMode: false }), compressed);
  // Awaited below; the target may be slow to see that it has failed.
  feeding.catch(() => undefined);
  const body = async function* () {
    yield* hashed(compressed, hash);
    await feeding;
  };
  let sha256: string | undefined;
  const metadata = () => ({ sha256: (sha256 ??= hash.digest("hex")) });
  try {
    const { byteLength } = await target.put(body(), { key, metadata });
    return { key, ...metadata(), byteLength };
  } catch (error) {
    compressed.destroy();
    await feeding.catch(() => undefined);
    throw "fault" in failed ? failed.fault : targetError(error);
  }
}

/**
 * `source`, whose own fault is kept: a stream that is ended throws into its source what ended it, and then it is not
 * told any more who began.
 */
async function* recording(source: AsyncIterable<Buffer>, failed: { fault?: unknown }) {
  const iterator = source[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await iterator.next().catch((error: unknown) => {
        failed.fault = error;
        throw error;
      });
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    await iterator.return?.();
  }
}

/** The file's bytes before compression. @throws ArchiveError `backup-damaged` at its end when it is not what was written */
export async function* readCompressed(target: Blobs, file: SnapshotFile): AsyncGenerator<Buffer, void, undefined> {
  const hash = createHash("sha256");
  const stored = await onTarget(() => target.get(file.key));
  const plain = createZstdDecompress();
  const feeding = pipeline(Readable.from(hashed(stored, hash), { objectMode: false }), plain);
  feeding.catch(() => undefined);
  try {
    for await (const chunk of plain) yield chunk;
    await feeding;
  } catch (error) {
    throw error instanceof ArchiveError ? targetError(error) : damaged(error);
  } finally {
    plain.destroy();
    stored.destroy();
  }
  if (hash.digest("hex") !== file.sha256) throw damaged();
}

function damaged(cause?: unknown): ArchiveError {
  return new ArchiveError("backup-damaged", "A file of the backup is not what was written.", { cause });
}

/** A small file, whole. */
export async function readWhole(target: Blobs, key: string): Promise<Buffer> {
  return onTarget(async () => buffer(await target.get(key)));
}

/** Writes a small file. */
export async function putWhole(target: Blobs, key: string, bytes: Buffer): Promise<void> {
  const body = async function* () {
    yield bytes;
  };
  const metadata = () => ({ sha256: createHash("sha256").update(bytes).digest("hex") });
  await onTarget(() => target.put(body(), { key, metadata }));
}

async function* hashed(source: AsyncIterable<Buffer>, hash: Hash): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of source) {
    hash.update(chunk);
    yield chunk;
  }
}
