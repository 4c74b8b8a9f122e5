/** Retrieve frames (PS3.18 10.4.1.1.6) as stored: single part where one is asked for so, else multipart. */
import type { RetrievedFrames } from "../archive/retrieve.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartRelated } from "./multipart-writer.ts";
import { type FrameParams, instanceUidsOf } from "./params.ts";
import { primed } from "./primed.ts";
import type { Reply, Request } from "./reply.ts";

/** The bytes under a UID never change; how they are wrapped and named does, with Accept. */
export const immutableHeaders = { "Cache-Control": "private, max-age=31536000, immutable", Vary: "Accept" };

/** The frames that the path lists, in its order. */
export async function retrieveFrames(request: Request<FrameParams>): Promise<Reply> {
  const numbers = request.params.frames;
  const frames = await request.archive.frames(instanceUidsOf(request.params), numbers);
  return framesReply(frames, request.accept, numbers.length === 1);
}

/** The reply that sends `frames`. @throws ArchiveError `not-acceptable` */
export async function framesReply(
  frames: RetrievedFrames,
  accept: readonly AcceptRange[],
  single: boolean,
): Promise<Reply> {
  const { mediaType, transferSyntaxUid } = frames;
  // Viewers ask for octets and look at the transfer syntax: any encoding may travel as application/octet-stream.
  const types = mediaType === "application/octet-stream" ? [mediaType] : [mediaType, "application/octet-stream"];
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
  if (!offer.multipart) {
    for await (const frame of frames.frames) {
      return { status: 200, headers: { "Content-Type": contentType, ...immutableHeaders }, body: frame };
    }
  }
  const { contentType: multipartType, body } = multipartRelated(parts(frames, contentType), { type: offer.mediaType });
  return { status: 200, headers: { "Content-Type": multipartType, ...immutableHeaders }, body };
}

async function* parts({ frames }: RetrievedFrames, contentType: string) {
  for await (const frame of frames) {
    const body = await primed(frame);
    try {
      yield { contentType, body };
    } finally {
      await body.return();
    }
  }
}
