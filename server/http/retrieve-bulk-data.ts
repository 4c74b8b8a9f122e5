/** Retrieve bulk data (PS3.18 10.4.1.1.5) and pixel data (10.4.1.1.7): values of elements, in little endian. */
import type { LocatedBulkData, RetrievedBulkDataSet } from "../archive/retrieve-parts.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated, type OutgoingPart } from "./multipart-writer.ts";
import {
  type BulkDataParams,
  type InstanceParams,
  instanceUidsOf,
  type SeriesParams,
  type StudyParams,
  uidsOf,
} from "./params.ts";
import { available, pixelOffers } from "./pixel-offers.ts";
import type { Reply, Request } from "./reply.ts";
import { framesReply } from "./retrieve-frames.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

const octets = { mediaType: "application/octet-stream", multipart: true } as const;

/** One value, single or multipart; encapsulated pixel data frame by frame. */
export async function retrieveBulkData(request: Request<BulkDataParams>): Promise<Reply> {
  const { path } = request.params;
  const found = await request.archive.bulkData(instanceUidsOf(request.params), path);
  if (found.kind === "frames") return framesReply(found.frames, request.accept, "all");
  const { value, mediaTypes, sha256, storedAt } = found;
  // Single part first: that is what a star and the absence of Accept get.
  const offers = mediaTypes.flatMap((mediaType) => [
    { mediaType, multipart: false },
    { mediaType, multipart: true },
  ]);
  const offer = negotiate(request.accept, offers);
  if (!offer) throw new ArchiveError("not-acceptable", `Bulk data is available as ${available(offers)}.`);
  const { mediaType } = offer;
  if (!offer.multipart) {
    const headers = { "Content-Type": mediaType, ...revalidated };
    return { status: 200, headers, body: value, etag: strongEtag(sha256, path, mediaType), lastModified: storedAt };
  }
  const part = { contentType: mediaType, byteLength: value.byteLength, body: value.read() };
  const message = multipartRelated([part], { type: mediaType });
  const headers = { ...multipartHeaders(message), ...revalidated };
  const etag = weakEtag(sha256.toString("hex"), path, mediaType);
  return { status: 200, headers, body: message.body, etag, lastModified: storedAt };
}

/** Makes the handler that sends every value of a study, a series or an instance, or the pixel data alone. */
export function allBulkDataHandler(which: "all" | "pixel data") {
  return async (request: Request<StudyParams | SeriesParams | InstanceParams>): Promise<Reply> => {
    const { accept, archive, params, urlOf } = request;
    const found = await archive.allBulkData(uidsOf(params), which);
    requireAll(accept, found, which);
    const values = found.values[Symbol.asyncIterator]();
    const first = await values.next();
    if (first.done === true) {
      const owner = "instance" in params ? "The instance" : "series" in params ? "The series" : "The study";
      const fault =
        which === "all"
          ? "has no bulk data: its metadata hold every value that it has, and /metadata answers them"
          : "has no pixel data";
      throw new ArchiveError("no-such-bulk-data", `${owner} ${fault}.`);
    }
    const begun: LocatedBulkData = first.value;
    const rest = { [Symbol.asyncIterator]: () => values };
    const [firstPart] = partsOf(begun);
    const type = firstPart?.contentType.replace(/;.*/, "") ?? octets.mediaType;
    const message = multipartRelated(parts(), { type });
    return {
      status: 200,
      headers: { ...multipartHeaders(message), ...revalidated },
      body: message.body,
      etag: weakEtag(found.version, which, type),
      lastModified: found.lastModified,
    };

    async function* parts(): AsyncGenerator<OutgoingPart> {
      yield* partsOf(begun);
      for await (const value of rest) yield* partsOf(value);
    }

    /** One part a value; encapsulated pixel data one a frame. */
    function* partsOf(value: LocatedBulkData): Generator<OutgoingPart> {
      const instance = `studies/${params.study}/series/${value.seriesInstanceUid}/instances/${value.sopInstanceUid}`;
      if (value.kind === "value") {
        const contentLocation = urlOf(`${instance}/bulkdata/${value.path}`);
        const { byteLength, read } = value.value;
        yield { contentType: octets.mediaType, contentLocation, byteLength, body: read() };
        return;
      }
      const offer = negotiate(accept, pixelOffers(value.frames.storedSyntaxUid, false));
      const contentType = offer?.contentType ?? octets.mediaType;
      let number = 0;
      for (const { byteLength, read } of value.frames.frames) {
        number += 1;
        yield { contentType, contentLocation: urlOf(`${instance}/frames/${number}`), byteLength, body: read() };
      }
    }
  };
}

/**
 * Values of which some are left out could pass for all: Accept must take the pixel data of every instance, and octets
 * where other values may be among them. @throws ArchiveError `not-acceptable`
 */
function requireAll(
  accept: readonly AcceptRange[],
  { transferSyntaxUids }: RetrievedBulkDataSet,
  which: "all" | "pixel data",
): void {
  const needed = transferSyntaxUids.map((uid) => pixelOffers(uid, false));
  if (which === "all") needed.push([{ ...octets, contentType: octets.mediaType }]);
  if (needed.every((offers) => negotiate(accept, offers))) return;
  throw new ArchiveError("not-acceptable", `It is available as ${available(needed.flat())}.`);
}
