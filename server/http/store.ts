/** Store transaction (PS3.18 10.5): parts are stored as they arrive, each with its own outcome. */
import type { Archive } from "../archive/archive.ts";
import type { StoreOptions, StoreOutcome } from "../archive/store.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { parseMediaType } from "./media-type.ts";
import { readMultipart } from "./multipart-reader.ts";
import { requireJson } from "./negotiate-json.ts";
import type { StudyParams } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { storeResponse } from "./store-response.ts";

/** Parts that are being made durable while the next ones arrive. */
const mostAtOnce = 8;

/** POST /studies and POST /studies/{study}. */
export async function storeInstances(request: Request<StudyParams | object>): Promise<Reply> {
  const contentType = requireJson(request.accept);
  const { params } = request;
  const options = { origin: "dicomweb", ...("study" in params && { studyInstanceUid: params.study }) };
  const outcomes = await storeAll(partsOf(request), request.archive, options);
  return storeResponse(outcomes, contentType, request.urlOf);
}

/** The bodies to store. @throws ArchiveError `unsupported-media-type`, `invalid-multipart`, `body-incomplete` */
function partsOf(request: Request<unknown>): AsyncIterable<AsyncIterable<Uint8Array>> {
  const header = request.header("content-type");
  const mediaType = header === undefined ? undefined : parseMediaType(header);
  const encoding = request.header("content-encoding") ?? "identity";
  if (encoding !== "identity") {
    throw new ArchiveError(
      "unsupported-media-type",
      "A body with a Content-Encoding cannot be stored: send it as it is.",
    );
  }
  const source = bytesOf(request.body);
  if (mediaType?.type === "application/dicom") return singlePart(source);
  if (mediaType?.type !== "multipart/related") {
    const accepted = 'multipart/related; type="application/dicom" and application/dicom';
    throw new ArchiveError("unsupported-media-type", `Content-Type is none of what can be stored: ${accepted}.`);
  }
  const type = mediaType.params.get("type") ?? "application/dicom";
  if (type.toLowerCase() !== "application/dicom") {
    throw new ArchiveError("unsupported-media-type", "Parts can be stored when they are application/dicom.");
  }
  const boundary = mediaType.params.get("boundary");
  if (boundary === undefined) throw new ArchiveError("invalid-multipart", "Content-Type names no boundary.");
  return multipart(source, boundary);
}

/** The body, left open when reading stops early, so that the answer still reaches the client. */
async function* bytesOf(body: Request<unknown>["body"]): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      if (Buffer.isBuffer(chunk)) yield chunk;
    }
  } catch (cause) {
    throw new ArchiveError("body-incomplete", "The connection ended before the body was complete.", { cause });
  }
}

async function* singlePart(source: AsyncIterable<Buffer>): AsyncGenerator<AsyncIterable<Uint8Array>> {
  yield source;
}

async function* multipart(source: AsyncGenerator<Buffer>, boundary: string): AsyncGenerator<AsyncIterable<Uint8Array>> {
  try {
    for await (const part of readMultipart(source, boundary)) yield part.body;
  } finally {
    await source.return(undefined);
  }
}

/**
 * Stores part after part: while one is made durable, the next is read. A body that breaks off fails what it breaks;
 * what came before stays stored and is answered for.
 */
async function storeAll(
  parts: AsyncIterable<AsyncIterable<Uint8Array>>,
  archive: Archive,
  options: StoreOptions,
): Promise<StoreOutcome[]> {
  const outcomes: Promise<StoreOutcome>[] = [];
  const running = new Set<Promise<StoreOutcome>>();
  try {
    for await (const part of parts) {
      const { body, consumed } = observed(part);
      const outcome = archive.store(body, options);
      outcomes.push(outcome);
      running.add(outcome);
      void outcome.then(() => running.delete(outcome));
      await Promise.race([consumed, outcome]);
      if (running.size >= mostAtOnce) await Promise.race(running);
    }
  } catch (thrown) {
    const error = toArchiveError(thrown);
    const done = await Promise.all(outcomes);
    if (!done.some(({ status }) => status !== "failed")) throw error;
    // The part that the body broke off in has failed with the same reason already.
    const told = done.some((outcome) => outcome.status === "failed" && outcome.error.code === error.code);
    return told ? done : [...done, { status: "failed", error }];
  }
  const done = await Promise.all(outcomes);
  if (done.length === 0) throw new ArchiveError("invalid-multipart", "The body holds no part.");
  return done;
}

/** `part`, and a promise that resolves when nothing more will be read of it. */
function observed(part: AsyncIterable<Uint8Array>): { body: AsyncIterable<Buffer>; consumed: Promise<void> } {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* body(): AsyncGenerator<Buffer> {
    try {
      for await (const { buffer, byteOffset, byteLength } of part) yield Buffer.from(buffer, byteOffset, byteLength);
    } finally {
      resolve();
    }
  }
  return { body: body(), consumed: promise };
}
