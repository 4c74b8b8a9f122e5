/** Retrieve studies, series and instances (PS3.18 10.4.1.1.1) as application/dicom, as stored. */
import { sendableSyntaxes } from "../archive/convert.ts";
import type { RetrievedInstance } from "../archive/retrieve.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate, type Offer } from "./media-type.ts";
import { multipartRelated, type OutgoingPart } from "./multipart-writer.ts";
import { type InstanceParams, type SeriesParams, type StudyParams, uidsOf } from "./params.ts";
import { available } from "./pixel-offers.ts";
import type { Reply, Request } from "./reply.ts";
import { zipMediaType, zipReply } from "./retrieve-zip.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

const mediaType = "application/dicom";
const zip = { mediaType: zipMediaType, multipart: false } as const;

/**
 * Instances go out as they are stored. Where Accept names no transfer syntax, any will do: re-encoding what a client
 * did not name costs time, and its bytes would no longer be those that were stored. One that is named and needs no work
 * on pixels is made.
 */
export async function retrieveInstances(request: Request<StudyParams | SeriesParams | InstanceParams>): Promise<Reply> {
  const single = "instance" in request.params;
  const found = await request.archive.instances(uidsOf(request.params));
  const offer = choose(request.accept, found.transferSyntaxUids, single);
  if (offer.mediaType === zipMediaType) return zipReply(request, uidsOf(request.params));
  const instances = found[Symbol.asyncIterator]();
  const first = await instances.next();
  if (first.done === true) throw new ArchiveError("no-such-resource", "There is no instance here.");
  if (!offer.multipart) {
    const { transferSyntaxUid, byteLength, sha256, storedAt, bytes, converted } = first.value;
    const wanted = offer.transferSyntaxUid ?? transferSyntaxUid;
    if (wanted !== transferSyntaxUid) {
      const headers = { "Content-Type": contentTypeOf(wanted), ...revalidated };
      const etag = weakEtag(sha256.toString("hex"), wanted, "alone");
      return { status: 200, headers, body: converted(), etag, lastModified: storedAt };
    }
    const headers = { "Content-Type": contentTypeOf(transferSyntaxUid), ...revalidated };
    const body = { byteLength, read: bytes };
    return { status: 200, headers, body, etag: strongEtag(sha256), lastModified: storedAt };
  }
  const parts = partsOf(first.value, { [Symbol.asyncIterator]: () => instances }, request);
  const { contentType, body } = multipartRelated(parts, { type: mediaType });
  const named = request.accept.map(({ transferSyntaxUid = "" }) => transferSyntaxUid);
  const state = single
    ? { etag: weakEtag(first.value.sha256.toString("hex"), ...named), lastModified: first.value.storedAt }
    : { etag: weakEtag(found.version, ...named), lastModified: found.lastModified };
  return { status: 200, headers: { "Content-Type": contentType, ...revalidated }, body, ...state };
}

/**
 * How to send what is stored in `transferSyntaxUids`. A series without some of its images could pass for whole, so
 * Accept must take every one. @throws ArchiveError `not-acceptable`
 */
function choose(accept: readonly AcceptRange[], transferSyntaxUids: readonly string[], single: boolean): Offer {
  const offers = transferSyntaxUids.map((stored): Offer[] => [
    ...sendableSyntaxes(stored).flatMap((transferSyntaxUid) => [
      { mediaType, multipart: true, transferSyntaxUid },
      ...(single ? [{ mediaType, multipart: false, transferSyntaxUid }] : []),
    ]),
    { ...zip, transferSyntaxUid: stored },
  ]);
  const chosen = offers.map((some) => negotiate(accept, some));
  // An archive holds whatever is stored.
  const first = chosen.find((offer) => offer?.mediaType === zipMediaType) ?? chosen[0];
  if (first && !chosen.includes(undefined)) return first;
  const named = [...offers.flat().filter((offer) => offer.mediaType === mediaType), zip];
  throw new ArchiveError("not-acceptable", `It is available as ${available(named)}.`);
}

async function* partsOf(
  first: RetrievedInstance,
  rest: AsyncIterable<RetrievedInstance>,
  request: Request<StudyParams | SeriesParams | InstanceParams>,
) {
  yield partOf(first, request);
  for await (const instance of rest) yield partOf(instance, request);
}

function partOf(
  instance: RetrievedInstance,
  { accept, params, urlOf }: Request<StudyParams | SeriesParams | InstanceParams>,
): OutgoingPart {
  const { seriesInstanceUid, sopInstanceUid, transferSyntaxUid, byteLength, bytes, converted } = instance;
  const contentLocation = urlOf(`studies/${params.study}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`);
  const offers = sendableSyntaxes(transferSyntaxUid).map((uid) => ({
    mediaType,
    multipart: true,
    transferSyntaxUid: uid,
  }));
  const named = negotiate(accept, offers)?.transferSyntaxUid ?? transferSyntaxUid;
  if (named !== transferSyntaxUid) return { contentType: contentTypeOf(named), contentLocation, body: converted() };
  return { contentType: contentTypeOf(named), contentLocation, byteLength, body: bytes() };
}

function contentTypeOf(transferSyntaxUid: string): string {
  return `${mediaType}; transfer-syntax=${transferSyntaxUid}`;
}
