/** Retrieve frames (PS3.18 10.4.1.1.6) as stored: single part where one is asked for so, else multipart. */
import type { RetrievedFrames } from "../archive/retrieve.ts";
import type { ReadableBytes } from "../archive/stored-bytes.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated } from "./multipart-writer.ts";
import { type FrameParams, instanceUidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

/** The frames that the path lists, in its order. */
export async function retrieveFrames(request: Request<FrameParams>): Promise<Reply> {
  const numbers = request.params.frames;
  const frames = await request.archive.frames(instanceUidsOf(request.params), numbers);
  return framesReply(frames, request.accept, numbers);
}

/** The reply that sends `frames`, whose numbers tell what they are. @throws ArchiveError `not-acceptable` */
export function framesReply(
  { frames, mediaType, transferSyntaxUid, sha256, storedAt }: RetrievedFrames,
  accept: readonly AcceptRange[],
  numbers: readonly number[] | "all",
): Reply {
  // Viewers ask for octets and look at the transfer syntax: any encoding may travel as application/octet-stream.
  const types = mediaType === "application/octet-stream" ? [mediaType] : [mediaType, "application/octet-stream"];
  const single = numbers !== "all" && numbers.length === 1;
  const offers = types.flatMap((type) => [
    { mediaType: type, multipart: true, transferSyntaxUid },
    ...(single ? [{ mediaType: type, multipart: false, transferSyntaxUid }] : []),
  ]);
  const offer = negotiate(accept, offers);
  if (!offer) {
    const available = `${mediaType}; transfer-syntax=${transferSyntaxUid}`;
    throw new ArchiveError("not-acceptable", `The frames are available as ${available}.`);
  }
  const contentType = `${offer.mediaType}; transfer-syntax=${transferSyntaxUid}`;
  const state = [sha256.toString("hex"), "frames", numbers.toString(), offer.mediaType];
  const parts = Array.from(frames, (frame) => ({ frame, ...partOf(frame, contentType) }));
  const [first] = parts;
  if (!offer.multipart && first) {
    const headers = { "Content-Type": contentType, ...revalidated };
    return { status: 200, headers, body: first.frame, etag: strongEtag(sha256, ...state), lastModified: storedAt };
  }
  const message = multipartRelated(parts, { type: offer.mediaType });
  const headers = { ...multipartHeaders(message), ...revalidated };
  return { status: 200, headers, body: message.body, etag: weakEtag(...state), lastModified: storedAt };
}

function partOf(frame: ReadableBytes, contentType: string) {
  return { contentType, byteLength: frame.byteLength, body: frame.read() };
}
