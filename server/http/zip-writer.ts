/** A ZIP archive as a stream: entries are stored without compression, one after the other, at the pace of the client. */
import { Readable } from "node:stream";
import { finished } from "node:stream/promises";
import { ZipFile } from "yazl";
import type { FileSetEntry } from "../archive/file-set.ts";

/**
 * The archive. Pixel data hardly shrinks by deflate, or is compressed already: it is stored as it is, and costs a
 * checksum. Entries and bodies are pulled one at a time; what they throw is thrown here. ZIP64 where sizes need it.
 */
export async function* zipOf(entries: AsyncIterable<FileSetEntry>): AsyncGenerator<Buffer> {
  const file = new ZipFile();
  const output = file.outputStream;
  if (!(output instanceof Readable)) throw new TypeError("the stream of an archive can be destroyed");
  const feeding = feed(file, entries, (error) => output.destroy(error));
  try {
    for await (const chunk of output) {
      if (Buffer.isBuffer(chunk)) yield chunk;
    }
  } finally {
    feeding.stop();
    await feeding.done;
  }
}

/** Adds entry after entry; the next when the one before has been read to its end. */
function feed(file: ZipFile, entries: AsyncIterable<FileSetEntry>, fail: (error: Error) => void) {
  let current: Readable | undefined;
  let stopped = false;
  const run = async () => {
    for await (const { name, byteLength, modifiedAt, body } of entries) {
      if (stopped) return;
      current = Readable.from(body, { objectMode: false });
      file.addReadStream(current, name, { size: byteLength, mtime: modifiedAt, compress: false });
      await finished(current, { writable: false });
    }
    file.end();
  };
  file.on("error", fail);
  const done = run().catch((error: unknown) => {
    if (!stopped) fail(error instanceof Error ? error : new Error("an entry cannot be read", { cause: error }));
  });
  const stop = () => {
    stopped = true;
    current?.destroy();
  };
  return { done, stop };
}
