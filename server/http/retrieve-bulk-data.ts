/** Retrieve bulk data (PS3.18 10.4.1.1.5): the value of one element, in little endian. */
import { ArchiveError } from "../errors.ts";
import { negotiate } from "./media-type.ts";
import { multipartRelated } from "./multipart-writer.ts";
import { type BulkDataParams, instanceUidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { framesReply, immutableHeaders } from "./retrieve-frames.ts";

const mediaType = "application/octet-stream";
/** Single part first: that is what `*` and the absence of Accept get. */
const offers = [
  { mediaType, multipart: false },
  { mediaType, multipart: true },
] as const;

/** One value, single or multipart; encapsulated pixel data frame by frame. */
export async function retrieveBulkData(request: Request<BulkDataParams>): Promise<Reply> {
  const value = await request.archive.bulkData(instanceUidsOf(request.params), request.params.path);
  if (value.kind === "frames") return framesReply(value.frames, request.accept, false);
  const offer = negotiate(request.accept, offers);
  if (!offer) throw new ArchiveError("not-acceptable", `Bulk data is available as ${mediaType}.`);
  const { byteLength, bytes } = value;
  if (!offer.multipart) {
    const headers = { "Content-Type": mediaType, "Content-Length": `${byteLength}`, ...immutableHeaders };
    return { status: 200, headers, body: bytes };
  }
  const { contentType, body } = multipartRelated([{ contentType: mediaType, byteLength, body: bytes }], {
    type: mediaType,
  });
  return { status: 200, headers: { "Content-Type": contentType, ...immutableHeaders }, body };
}
