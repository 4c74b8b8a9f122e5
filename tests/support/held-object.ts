/** A store of one object that is held in memory, for tests of what reads objects. */
import { Readable } from "node:stream";
import type { ByteRange } from "../../storage/blobs.ts";
import type { ReadableBlobs } from "../../server/archive/stored-bytes.ts";
import { Part10Scan } from "../../server/dicom/part10.ts";

/** The store, and the place of the object in it as a row of the catalog has it. */
export async function heldObject(bytes: Buffer, transferSyntaxUid: string) {
  const scan = new Part10Scan();
  await scan.push(bytes);
  const { dataSetOffset } = await scan.end();
  const cut = (range: ByteRange = { offset: 0, length: bytes.length }) =>
    bytes.subarray(range.offset, range.offset + range.length);
  const blobs: ReadableBlobs = {
    get: async (_key, range) => Readable.from([cut(range)]),
    read: async (_key, range) => cut(range),
  };
  return { blobs, place: { transferSyntaxUid, blobKey: "held", dataSetOffset, byteLength: bytes.length } };
}

/** What `chunks` hold together. */
export async function joined(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}
