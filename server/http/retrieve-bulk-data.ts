/** Retrieve bulk data (PS3.18 10.4.1.1.5): the value of one element, in little endian. */
import { ArchiveError } from "../errors.ts";
import { negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated } from "./multipart-writer.ts";
import { type BulkDataParams, instanceUidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { framesReply } from "./retrieve-frames.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

const mediaType = "application/octet-stream";
/** Single part first: that is what `*` and the absence of Accept get. */
const offers = [
  { mediaType, multipart: false },
  { mediaType, multipart: true },
] as const;

/** One value, single or multipart; encapsulated pixel data frame by frame. */
export async function retrieveBulkData(request: Request<BulkDataParams>): Promise<Reply> {
  const { path } = request.params;
  const found = await request.archive.bulkData(instanceUidsOf(request.params), path);
  if (found.kind === "frames") return framesReply(found.frames, request.accept, "all");
  const offer = negotiate(request.accept, offers);
  if (!offer) {
    const available = `${mediaType} and multipart/related; type="${mediaType}"`;
    throw new ArchiveError("not-acceptable", `Bulk data is available as ${available}.`);
  }
  const { value, sha256, storedAt } = found;
  if (!offer.multipart) {
    const headers = { "Content-Type": mediaType, ...revalidated };
    return { status: 200, headers, body: value, etag: strongEtag(sha256, path), lastModified: storedAt };
  }
  const part = { contentType: mediaType, byteLength: value.byteLength, body: value.read() };
  const message = multipartRelated([part], { type: mediaType });
  const headers = { ...multipartHeaders(message), ...revalidated };
  const etag = weakEtag(sha256.toString("hex"), path);
  return { status: 200, headers, body: message.body, etag, lastModified: storedAt };
}
