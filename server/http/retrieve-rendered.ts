/** Retrieve rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4): what a browser shows by itself. */
import type { Rendition, RenderingOptions, Renditions } from "../archive/rendered.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated, type OutgoingPart } from "./multipart-writer.ts";
import { type FrameParams, type InstanceParams, type SeriesParams, type StudyParams, uidsOf } from "./params.ts";
import { available } from "./pixel-offers.ts";
import { renderingOptions } from "./rendering-options.ts";
import type { Reply, Request } from "./reply.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

type AnyParams = StudyParams | SeriesParams | InstanceParams | FrameParams;

/** A document is what somebody stored: it runs no script, and asks nobody, in the name of this address. */
const harmless = { "Content-Security-Policy": "default-src 'none'; sandbox" } as const;

/** What can be rendered of a study, a series, an instance or frames. */
export async function retrieveRendered(request: Request<AnyParams>): Promise<Reply> {
  const { params, query } = request;
  return renderedReply(request, "frames" in params ? params.frames : undefined, renderingOptions(query));
}

/** The renditions of the resource, or of `frames` of it: one alone as a single part, several as parts. */
export async function renderedReply(
  request: Request<AnyParams>,
  frames: readonly number[] | undefined,
  options: RenderingOptions,
): Promise<Reply> {
  const found = await request.archive.rendered(uidsOf(request.params), frames, options);
  const { multipart, type } = choose(request.accept, found);
  if (!multipart) {
    for await (const rendition of found.all) return singleReply(rendition, options);
  }
  const message = multipartRelated(parts(found, request), { type });
  const headers = { ...multipartHeaders(message), ...revalidated, ...harmless };
  const etag = weakEtag(found.version, "rendered", frames?.toString() ?? "", JSON.stringify(options), type);
  return { status: 200, headers, body: message.body, etag, lastModified: found.lastModified };
}

/** One small image that stands for the resource. */
export async function retrieveThumbnail({ accept, archive, params, query }: Request<AnyParams>): Promise<Reply> {
  const [frame, ...others] = "frames" in params ? params.frames : [];
  if (others.length > 0) throw new ArchiveError("invalid-request", "A thumbnail is of one frame.");
  const options = renderingOptions(query);
  const rendition = await archive.thumbnail(uidsOf(params), frame, options);
  const offers = [{ mediaType: rendition.mediaType, multipart: false }];
  if (!negotiate(accept, offers)) {
    throw new ArchiveError("not-acceptable", `The thumbnail is available as ${available(offers)}.`);
  }
  return singleReply(rendition, options);
}

/** Whoever leaves out a media type of what there is would get less than the whole. @throws ArchiveError */
function choose(
  accept: readonly AcceptRange[],
  { mediaTypes, single }: Renditions,
): { multipart: boolean; type: string } {
  const offers = mediaTypes.map((mediaType) => [
    ...(single ? [{ mediaType, multipart: false }] : []),
    { mediaType, multipart: true },
  ]);
  const chosen = offers.map((some) => negotiate(accept, some));
  const [first] = chosen;
  if (first && !chosen.includes(undefined)) return { multipart: first.multipart, type: first.mediaType };
  throw new ArchiveError("not-acceptable", `It can be rendered as ${available(offers.flat())}.`);
}

function singleReply({ mediaType, bytes, sha256, storedAt, frame }: Rendition, options: RenderingOptions): Reply {
  const headers = { "Content-Type": mediaType, ...revalidated, ...harmless };
  const etag = strongEtag(sha256, "rendered", frame ?? "", JSON.stringify(options), mediaType);
  return { status: 200, headers, body: bytes, etag, lastModified: storedAt };
}

async function* parts({ all }: Renditions, { params, urlOf }: Request<AnyParams>): AsyncGenerator<OutgoingPart> {
  for await (const { seriesInstanceUid, sopInstanceUid, mediaType, bytes, frame } of all) {
    const instance = `studies/${params.study}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
    const contentLocation = urlOf(`${instance}${frame === undefined ? "" : `/frames/${frame}`}/rendered`);
    yield { contentType: mediaType, contentLocation, byteLength: bytes.byteLength, body: bytes.read() };
  }
}
