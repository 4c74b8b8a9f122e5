/** Retrieve metadata (PS3.18 10.4.1.1.2): DICOM JSON or Native DICOM Model XML of a study, a series or an instance. */
import { pipeline, Readable } from "node:stream";
import { createGzip } from "node:zlib";
import { LRUCache } from "lru-cache";
import type { RetrievedMetadata } from "../archive/retrieve.ts";
import { parseJsonText } from "../dicom/json.ts";
import { toNativeXml } from "../dicom/xml.ts";
import { ArchiveError } from "../errors.ts";
import { inOwnMemory } from "../own-memory.ts";
import { negotiate } from "./media-type.ts";
import { multipartRelated } from "./multipart-writer.ts";
import { type InstanceParams, type SeriesParams, type StudyParams, uidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { weakEtag } from "./validators.ts";

/** Compressed documents above this many bytes are not kept. */
const largestCached = 8 * 2 ** 20;

/** Characters of JSON that are worth a write. */
const batchLength = 65_536;

const xmlType = "application/dicom+xml";

/** PS3.18 Table 8.7.3-1. XML is a document an instance: one alone only where one instance is named. */
const offers = [
  { mediaType: "application/dicom+json", multipart: false },
  { mediaType: "application/json", multipart: false },
  { mediaType: xmlType, multipart: true },
] as const;
const instanceOffers = [...offers, { mediaType: xmlType, multipart: false }] as const;

/** Makes the handler; compressed documents are kept under their version, in 64 MB at most. */
export function metadataHandler() {
  const documents = new LRUCache<string, Buffer>({
    maxSize: 64 * 2 ** 20,
    sizeCalculation: ({ length }) => Math.max(1, length),
  });

  return async (request: Request<StudyParams | SeriesParams | InstanceParams>): Promise<Reply> => {
    const offer = negotiate(request.accept, "instance" in request.params ? instanceOffers : offers);
    if (!offer) {
      const available = `application/dicom+json, application/json and multipart/related; type="${xmlType}"`;
      throw new ArchiveError("not-acceptable", `Metadata is available as ${available}.`);
    }
    const uids = uidsOf(request.params);
    const metadata = await request.archive.metadata(uids, request.urlOf);
    const wrapped = `${offer.mediaType} ${offer.multipart}`;
    const key = `${Object.values(uids).join("/")} ${metadata.version} ${request.urlOf("")} ${wrapped}`;
    const { contentType, body } = represent(metadata, offer);
    const state = { status: 200, etag: weakEtag(key), lastModified: metadata.lastModified };
    const headers = {
      "Content-Type": contentType,
      "Cache-Control": "private, no-cache",
      Vary: "Accept-Encoding, Accept",
    };
    if (!takesGzip(request.header("accept-encoding"))) return { ...state, headers, body };
    const coded = { ...headers, "Content-Encoding": "gzip" };
    // The boundary of a multipart message is new each time.
    if (offer.multipart) return { ...state, headers: coded, body: gzipped(body) };
    const kept = documents.get(key);
    if (kept) return { ...state, headers: coded, body: kept };
    return { ...state, headers: coded, body: gzipped(body, (whole) => documents.set(key, whole)) };
  };
}

/** RFC 9110 12.5.3; a star is not enough, and a weight of 0 refuses it. */
function takesGzip(acceptEncoding = ""): boolean {
  const gzip = /(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=([\d.]+)\s*)?(?:,|$)/i.exec(acceptEncoding);
  return gzip !== null && Number(gzip[1] ?? 1) > 0;
}

function represent(
  metadata: RetrievedMetadata,
  { mediaType, multipart }: (typeof instanceOffers)[number],
): { readonly contentType: string; readonly body: AsyncIterable<Buffer | string> } {
  if (mediaType !== xmlType) return { contentType: mediaType, body: jsonArray(metadata) };
  return multipart
    ? multipartRelated(xmlParts(metadata), { type: xmlType })
    : { contentType: xmlType, body: xmlDocuments(metadata) };
}

/** `body` compressed as it comes; when all of it has been read, `keep` gets it, unless it is large. */
async function* gzipped(
  body: AsyncIterable<Buffer | string>,
  keep?: (whole: Buffer) => void,
): AsyncGenerator<Buffer, void, undefined> {
  const gzip = createGzip({ level: 4 });
  // A failure destroys `gzip` too, whose reader throws it.
  pipeline(Readable.from(body, { objectMode: false }), gzip, () => undefined);
  let kept: Buffer[] | undefined = keep && [];
  let length = 0;
  for await (const chunk of gzip) {
    if (!Buffer.isBuffer(chunk)) throw new TypeError("gzip yields buffers");
    length += chunk.length;
    if (length > largestCached) kept = undefined;
    kept?.push(chunk);
    yield chunk;
  }
  if (kept && keep) keep(inOwnMemory(...kept));
}

async function* jsonArray(metadata: RetrievedMetadata): AsyncGenerator<string, void, undefined> {
  let text = "[";
  let separator = "";
  for await (const document of metadata.documents()) {
    text += separator + document;
    separator = ",";
    if (text.length < batchLength) continue;
    yield text;
    text = "";
  }
  yield `${text}]`;
}

async function* xmlParts(metadata: RetrievedMetadata) {
  for await (const document of xmlDocuments(metadata)) yield { contentType: xmlType, body: Buffer.from(document) };
}

async function* xmlDocuments(metadata: RetrievedMetadata): AsyncGenerator<string, void, undefined> {
  for await (const document of metadata.documents()) yield toNativeXml(parseJsonText(document));
}
