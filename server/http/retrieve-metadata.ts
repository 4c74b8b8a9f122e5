/** Retrieve metadata (PS3.18 10.4.1.1.2): DICOM JSON of a study, a series or an instance. */
import { createHash } from "node:crypto";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { LRUCache } from "lru-cache";
import type { RetrievedMetadata } from "../archive/retrieve.ts";
import { requireJson } from "./negotiate-json.ts";
import { type InstanceParams, type SeriesParams, type StudyParams, uidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";

const compress = promisify(gzip);

/** Documents above this many characters are streamed and not kept. */
const largestCached = 32 * 2 ** 20;

/** Makes the handler; compressed documents are kept under their version, in 64 MB at most. */
export function metadataHandler() {
  const documents = new LRUCache<string, Buffer>({
    maxSize: 64 * 2 ** 20,
    sizeCalculation: ({ length }) => Math.max(1, length),
  });

  return async (request: Request<StudyParams | SeriesParams | InstanceParams>): Promise<Reply> => {
    const contentType = requireJson(request.accept);
    const uids = uidsOf(request.params);
    const metadata = await request.archive.metadata(uids, request.urlOf);
    const key = `${Object.values(uids).join("/")} ${metadata.version} ${request.urlOf("")} ${contentType}`;
    const etag = `W/"${createHash("sha256").update(key).digest("base64url").slice(0, 27)}"`;
    const headers = {
      "Content-Type": contentType,
      ETag: etag,
      "Cache-Control": "no-cache",
      Vary: "Accept-Encoding, Accept",
    };
    if (matches(request.header("if-none-match"), etag)) return { status: 304, headers };
    if (!/\bgzip\b/.test(request.header("accept-encoding") ?? "")) {
      return { status: 200, headers, body: jsonArray(metadata) };
    }
    const compressed = documents.get(key) ?? (await compressedDocument(metadata));
    if (!compressed) return { status: 200, headers, body: jsonArray(metadata) };
    documents.set(key, compressed);
    return { status: 200, headers: { ...headers, "Content-Encoding": "gzip" }, body: compressed };
  };
}

/** RFC 9110 13.1.2, weak comparison. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  return ifNoneMatch.split(",").some((tag) => tag.trim() === "*" || tag.trim().replace(/^W\//, "") === etag.slice(2));
}

/** Undefined when the document is too large to be kept. */
async function compressedDocument(metadata: RetrievedMetadata): Promise<Buffer | undefined> {
  const parts: string[] = [];
  let length = 0;
  for await (const part of jsonArray(metadata)) {
    length += part.length;
    if (length > largestCached) return undefined;
    parts.push(part);
  }
  return compress(parts.join(""), { level: 4 });
}

async function* jsonArray(metadata: RetrievedMetadata): AsyncGenerator<string> {
  let separator = "[";
  for await (const document of metadata.documents()) {
    yield separator + document;
    separator = ",";
  }
  yield separator === "[" ? "[]" : "]";
}
