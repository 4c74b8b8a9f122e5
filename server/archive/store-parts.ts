/** Stores instances that come as metadata and bulk data (PS3.18 10.5.1.4): put aside, composed into files, stored. */
import type { Blobs } from "../../storage/blobs.ts";
import { isFields, parseJsonDocuments, readDataSet, type Tell } from "../dicom/json-reader.ts";
import type { DicomJson } from "../dicom/json.ts";
import type { Uid } from "../dicom/uid.ts";
import { NativeXmlParser } from "../dicom/xml-reader.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { type BulkPart, BulkParts } from "./bulk-parts.ts";
import { compose } from "./compose.ts";
import type { Surroundings } from "./identified.ts";
import { Spool, type SweepList } from "./spool.ts";
import type { StoreLog, StoreOptions, StoreOutcome } from "./store.ts";

/** One part of the body of a request. */
export interface StorePart extends Omit<BulkPart, "source"> {
  readonly kind: "json" | "xml" | "file" | "bulk";
  readonly body: AsyncIterable<Uint8Array>;
}

export interface StorePartsOptions extends StoreOptions {
  /** Address of the request, which relative references are relative to. */
  readonly base: string;
}

/** Metadata of one request, in bytes. Read as objects they take several times as much. */
const longestMetadata = 32 * 2 ** 20;
/** Instances in the metadata of one request. */
const mostInstances = 20_000;
/** Instances that are being stored at the same time. */
const mostAtOnce = 8;

/** Sentences on the form of the metadata of one instance. */
const mostTold = 8;

type Store = (body: AsyncIterable<Buffer>, options?: StoreOptions) => Promise<StoreOutcome>;

/** An instance to be: its metadata, read when its turn comes, so that a fault in it fails it alone. */
interface Waiting {
  readonly read: (tell: Tell) => DicomJson;
  /** Bulk data that is its own without being named. */
  readonly adopted?: readonly BulkPart[];
  readonly names: { readonly sopClassUid?: string; readonly sopInstanceUid?: string };
}

/** Makes the use case over `store`, which every file goes through. */
export function createStoreParts(
  blobs: Blobs,
  store: Store,
  findStudy: Surroundings["findStudy"],
  sweepList: SweepList,
  log: StoreLog,
): (parts: AsyncIterable<StorePart>, options: StorePartsOptions) => Promise<StoreOutcome[]> {
  /**
   * Stores the instances of a body, whatever the order of its parts. What is wrong with one is its outcome; what is
   * wrong with the body is thrown, and then nothing of it is stored.
   * @throws ArchiveError `invalid-request`, `body-too-large`, `metadata-required`, and what the parts throw
   */
  return async function storeParts(parts, options) {
    const spool = new Spool(blobs, sweepList);
    try {
      const bulk = new BulkParts(options.base);
      const { waiting, files, media } = await readParts(parts, bulk, spool);
      const isBare = waiting.length === 0 && (media.length > 0 || files.length === 0);
      if (isBare) waiting.push(...(await bareMedia(media, options.studyInstanceUid)));
      const begin = [
        ...files.map((file) => () => store(file.bytes(), options)),
        ...waiting.map((instance) => () => storeOne(instance, bulk, options, waiting.length === 1)),
      ];
      const outcomes: Promise<StoreOutcome>[] = [];
      const running = new Set<Promise<StoreOutcome>>();
      for (const one of begin) {
        const outcome = one();
        outcomes.push(outcome);
        running.add(outcome);
        void outcome.then(() => running.delete(outcome));
        if (running.size >= mostAtOnce) await Promise.race(running);
      }
      const done = await Promise.all(outcomes);
      const leftOver = bulk.leftOver();
      return leftOver.length === 0 ? done : done.map((outcome) => withWarnings(outcome, leftOver));
    } finally {
      await spool.clear().catch((error: unknown) => log.warn({ err: error }, "parts put aside stay until the sweep"));
    }
  };

  async function storeOne(
    { read, adopted, names }: Waiting,
    bulk: BulkParts,
    options: StorePartsOptions,
    isOnly: boolean,
  ): Promise<StoreOutcome> {
    try {
      const told = new Set<string>();
      const dataSet = read((sentence) => told.size < mostTold && told.add(sentence));
      const own = adopted ?? (isOnly ? bulk.adopt(dataSet) : []);
      const { file, warnings } = await compose(dataSet, bulk, own, { ...options, findStudy });
      return withWarnings(await store(file, options), [...told, ...warnings]);
    } catch (thrown) {
      const error = toArchiveError(thrown);
      if (error.code === "internal") log.warn({ err: thrown }, "an instance could not be composed");
      return { status: "failed", error, ...names };
    }
  }

  /** Media without metadata belong to the patient of the study that is addressed; no patient is made up. */
  async function bareMedia(media: readonly BulkPart[], study: Uid | undefined): Promise<Waiting[]> {
    if (media.length === 0) throw new ArchiveError("invalid-multipart", "The body holds no part.");
    if (study === undefined || !(await findStudy(study))) {
      throw new ArchiveError(
        "metadata-required",
        `${media[0]?.mediaType} alone can be stored into a study that is in the archive, whose patient it gets; ` +
          "else send it with metadata, as multipart/related of application/dicom+json and the media.",
      );
    }
    return media.map((part) => ({ read: () => ({}), adopted: [part], names: {} }));
  }
}

interface ReadParts {
  readonly waiting: Waiting[];
  readonly files: readonly { readonly bytes: () => AsyncIterable<Buffer> }[];
  readonly media: readonly BulkPart[];
}

async function readParts(parts: AsyncIterable<StorePart>, bulk: BulkParts, spool: Spool): Promise<ReadParts> {
  const waiting: Waiting[] = [];
  const files: ReadParts["files"][number][] = [];
  const media: BulkPart[] = [];
  let left = longestMetadata;
  for await (const { kind, body, ...named } of parts) {
    if (kind === "json" || kind === "xml") {
      const limited = withLimit(body, left);
      const instances =
        kind === "json" ? jsonInstances(await gathered(limited.body)) : [await xmlInstance(limited.body)];
      left -= limited.length();
      if (waiting.length + instances.length > mostInstances) throw tooManyInstances();
      waiting.push(...instances);
      continue;
    }
    const source = await spool.add(body);
    if (kind === "file") files.push(source);
    else {
      const part = { ...named, source };
      media.push(part);
      bulk.add(part);
    }
  }
  return { waiting, files, media };
}

/** `body`, which ends with an error when it passes `limit` bytes, and how many it had. */
function withLimit(body: AsyncIterable<Uint8Array>, limit: number) {
  let length = 0;
  async function* limited(): AsyncGenerator<Uint8Array> {
    for await (const chunk of body) {
      length += chunk.length;
      if (length > limit) {
        throw new ArchiveError(
          "body-too-large",
          `The metadata of the request have more than ${longestMetadata} bytes.`,
        );
      }
      yield chunk;
    }
  }
  return { body: limited(), length: () => length };
}

async function gathered(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function jsonInstances(bytes: Buffer): Waiting[] {
  const documents = parseJsonDocuments(textOf(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
  if (documents.length > mostInstances) throw tooManyInstances();
  return documents.map((document) => ({
    read: (tell) => readDataSet(document, tell),
    names: namesOf(document),
  }));
}

function tooManyInstances(): ArchiveError {
  return new ArchiveError("invalid-request", `The request holds metadata of more than ${mostInstances} instances.`);
}

/** Read as it comes: the text of a large document takes a while, and other requests have their turn between chunks. */
async function xmlInstance(body: AsyncIterable<Uint8Array>): Promise<Waiting> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parser = new NativeXmlParser();
  let fault: ArchiveError | undefined;
  for await (const chunk of body) {
    // What follows a fault is read all the same, so that the next part is reached.
    fault ??= faultOf(() => parser.push(textOf(() => decoder.decode(chunk, { stream: true }))));
  }
  if (fault) return failed(fault);
  try {
    const told: string[] = [];
    const dataSet = parser.end(
      textOf(() => decoder.decode()),
      (sentence) => told.length < mostTold && told.push(sentence),
    );
    const read = (tell: Tell) => {
      for (const sentence of told) tell(sentence);
      return dataSet;
    };
    return { read, names: namesOf(dataSet) };
  } catch (error) {
    return failed(toArchiveError(error));
  }
}

/** What is no XML at all is a fault of the body, as what is no JSON is; another fault is one of the instance. */
function failed(fault: ArchiveError): Waiting {
  if (fault.code === "invalid-request") throw fault;
  return { read: failWith(fault), names: {} };
}

function faultOf(action: () => void): ArchiveError | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return toArchiveError(error);
  }
}

function failWith(error: ArchiveError): () => never {
  return () => {
    throw error;
  };
}

function namesOf(document: unknown): Waiting["names"] {
  return { ...nameOf(document, "00080016", "sopClassUid"), ...nameOf(document, "00080018", "sopInstanceUid") };
}

/** A UID for the response, out of metadata that may be malformed. */
function nameOf<Name extends string>(document: unknown, tag: string, name: Name): { [Key in Name]?: string } {
  const attribute = isFields(document) ? document[tag] : undefined;
  const values = isFields(attribute) ? attribute["Value"] : undefined;
  const value: unknown = Array.isArray(values) ? values[0] : undefined;
  const named: { [Key in Name]?: string } = {};
  if (typeof value === "string") named[name] = value.slice(0, 128);
  return named;
}

function textOf(decode: () => string): string {
  try {
    return decode();
  } catch (cause) {
    throw new ArchiveError("invalid-request", "The metadata are not text in UTF-8.", { cause });
  }
}

function withWarnings(outcome: StoreOutcome, warnings: readonly string[]): StoreOutcome {
  if (outcome.status === "failed" || warnings.length === 0) return outcome;
  return { ...outcome, warnings: [...outcome.warnings, ...warnings] };
}
