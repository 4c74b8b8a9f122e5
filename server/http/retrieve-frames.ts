/** Retrieve frames (PS3.18 10.4.1.1.6) as stored: single part where one is asked for so, else multipart. */
import type { RetrievedFrames } from "../archive/retrieve-parts.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated } from "./multipart-writer.ts";
import { type FrameParams, instanceUidsOf } from "./params.ts";
import { available, pixelOffers } from "./pixel-offers.ts";
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
  { frames, storedSyntaxUid, sha256, storedAt }: RetrievedFrames,
  accept: readonly AcceptRange[],
  numbers: readonly number[] | "all",
): Reply {
  const offers = pixelOffers(storedSyntaxUid, numbers !== "all" && numbers.length === 1);
  const offer = negotiate(accept, offers);
  if (!offer) throw new ArchiveError("not-acceptable", `The frames are available as ${available(offers)}.`);
  const { contentType, mediaType } = offer;
  const state = ["frames", numbers.toString(), mediaType];
  const [first] = frames;
  if (!offer.multipart && first) {
    const headers = { "Content-Type": contentType, ...revalidated };
    return { status: 200, headers, body: first, etag: strongEtag(sha256, ...state), lastModified: storedAt };
  }
  const parts = {
    *[Symbol.iterator]() {
      for (const { byteLength, read } of frames) yield { contentType, byteLength, body: read() };
    },
  };
  const message = multipartRelated(parts, { type: mediaType });
  const headers = { ...multipartHeaders(message), ...revalidated };
  const etag = weakEtag(sha256.toString("hex"), ...state);
  return { status: 200, headers, body: message.body, etag, lastModified: storedAt };
}
