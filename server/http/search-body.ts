/** Bodies of search answers (PS3.18 10.6.3.1): one DICOM JSON array, or a Native DICOM Model document a match. */
import type { SearchAnswer } from "../archive/search.ts";
import { toJsonText } from "../dicom/json.ts";
import { toNativeXml } from "../dicom/xml.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartRelated } from "./multipart-writer.ts";
import type { Reply } from "./reply.ts";
import { weakEtag } from "./validators.ts";

const xmlType = "application/dicom+xml";

/** PS3.18 Table 8.7.3-1. XML goes out as multipart also to clients that name it alone, as many do. */
const offers = [
  { mediaType: "application/dicom+json", multipart: false },
  { mediaType: "application/json", multipart: false },
  { mediaType: xmlType, multipart: true },
  { mediaType: xmlType, multipart: false },
] as const;

/** Characters of documents that are held to be tagged; a longer answer is streamed, and has no entity tag. */
const longestTagged = 4 * 2 ** 20;

/** Characters of JSON that are worth a write. */
const batchLength = 65_536;

/** The media type of the matches. @throws ArchiveError `not-acceptable` */
export function chooseMediaType(accept: readonly AcceptRange[]): string {
  const offer = negotiate(accept, offers);
  if (offer) return offer.mediaType;
  const available = `application/dicom+json, application/json and multipart/related; type="${xmlType}"`;
  throw new ArchiveError("not-acceptable", `Matches are available as ${available}.`);
}

/**
 * The reply with `answers` as `mediaType`. An answer that is short enough is read whole, and its entity tag is that of
 * its content with `headers`: a search costs about the same whether it is sent or not, but a client that asks again
 * need not read it again. There is no date: an answer also changes when a match goes.
 */
export async function searchReply(
  answers: AsyncIterable<SearchAnswer>,
  mediaType: string,
  headers: Readonly<Record<string, string>>,
): Promise<Reply> {
  const write = mediaType === xmlType ? toNativeXml : toJsonText;
  const { held, rest } = await readAhead(answers, write);
  const etag = rest ? undefined : weakEtag(mediaType, ...Object.values(headers), ...held);
  const documents = joined(held, rest);
  if (mediaType === xmlType) {
    const { contentType, body } = multipartRelated(xmlParts(documents), { type: xmlType });
    return { status: 200, headers: { ...headers, "Content-Type": contentType }, body, etag };
  }
  const body = rest ? jsonArray(documents) : `[${held.join()}]`;
  return { status: 200, headers: { ...headers, "Content-Type": mediaType }, body, etag };
}

/** The first documents, and the others when there are more than are held. */
async function readAhead(
  answers: AsyncIterable<SearchAnswer>,
  write: (answer: SearchAnswer) => string,
): Promise<{ held: readonly string[]; rest: AsyncIterable<string> | undefined }> {
  const iterator = answers[Symbol.asyncIterator]();
  const held: string[] = [];
  for (let length = 0; length < longestTagged;) {
    const next = await iterator.next();
    if (next.done === true) return { held, rest: undefined };
    const document = write(next.value);
    held.push(document);
    length += document.length;
  }
  async function* others(): AsyncGenerator<string, void, undefined> {
    for await (const answer of { [Symbol.asyncIterator]: () => iterator }) yield write(answer);
  }
  return { held, rest: others() };
}

async function* joined(
  held: readonly string[],
  rest: AsyncIterable<string> | undefined,
): AsyncGenerator<string, void, undefined> {
  yield* held;
  if (rest) yield* rest;
}

async function* jsonArray(documents: AsyncIterable<string>): AsyncGenerator<string, void, undefined> {
  let text = "[";
  let separator = "";
  for await (const document of documents) {
    text += separator + document;
    separator = ",";
    if (text.length < batchLength) continue;
    yield text;
    text = "";
  }
  yield `${text}]`;
}

async function* xmlParts(documents: AsyncIterable<string>) {
  for await (const document of documents) yield { contentType: xmlType, body: Buffer.from(document) };
}
