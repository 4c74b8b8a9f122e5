/** Sends instances to a DICOMweb server by STOW-RS (PS3.18 10.5): many in one request, each with an outcome of its own. */
import { randomBytes } from "node:crypto";
import { ArchiveError, type ErrorCode } from "../errors.ts";
import {
  whoseFault,
  type RunOptions,
  type SendableInstance,
  type SendableInstances,
  type SentInstance,
} from "./job-runners.ts";
import type { DicomWebPeer } from "./peers.ts";
import { type HttpAnswer, HttpFailure, postStream } from "./post-stream.ts";
import { readStoreAnswer } from "./store-answer.ts";

/** Instances in one request at most, and bytes from which on no further one is put into it. */
const instancesAtOnce = 100;
const bytesAtOnce = 32 * 2 ** 20;

export interface SendStowOptions {
  /** How long (milliseconds) a server may be silent; default 5 minutes, since some answer only when all is stored. */
  readonly silence?: number;
}

/** How long (milliseconds) a server may take to answer a search for one study. */
const patience = 10_000;

/**
 * Asks a DICOMweb server for one study (QIDO-RS), and tells how long the answer took (milliseconds) and its status.
 * @throws ArchiveError `peer-unreachable`, `peer-silent`, `peer-failed`
 */
export async function greetDicomWeb({ url, headers }: DicomWebPeer, signal: AbortSignal): Promise<object> {
  const begun = performance.now();
  let response: Response;
  try {
    response = await fetch(`${url}/studies?limit=1`, {
      headers: { ...headers, Accept: "application/dicom+json", "User-Agent": "Noctis" },
      redirect: "manual",
      signal: AbortSignal.any([signal, AbortSignal.timeout(patience)]),
    });
    await response.body?.cancel();
  } catch (cause) {
    const isLate = cause instanceof Error && cause.name === "TimeoutError";
    throw isLate
      ? new ArchiveError("peer-silent", "The server did not answer in time.", { cause })
      : new ArchiveError("peer-unreachable", "The server cannot be reached.", { cause });
  }
  const { status } = response;
  if (!response.ok) throw new ArchiveError("peer-failed", `The server answered ${status} to a search for studies.`);
  return { status, answerTime: performance.now() - begun };
}

/** Sends `instances`, and gives the outcome of each as the answers come. What is wrong with the server is told by outcomes. */
export async function* sendByStow(
  peer: DicomWebPeer,
  instances: SendableInstances,
  { signal }: RunOptions,
  options: SendStowOptions = {},
): AsyncGenerator<SentInstance> {
  for await (const batch of batches(instances)) {
    yield* sendBatch(peer, batch, signal, options);
    if (signal.aborted) return;
  }
}

async function* batches(instances: AsyncIterable<SendableInstance>): AsyncGenerator<SendableInstance[]> {
  let batch: SendableInstance[] = [];
  let bytes = 0;
  for await (const instance of instances) {
    batch.push(instance);
    bytes += instance.byteLength;
    if (batch.length < instancesAtOnce && bytes < bytesAtOnce) continue;
    yield batch;
    batch = [];
    bytes = 0;
  }
  if (batch.length > 0) yield batch;
}

/**
 * What an answer leaves open is asked again singly: one instance that a server chokes on takes no other with it. When one
 * ends so that it may be the server's fault, the rest is not sent.
 */
async function* sendBatch(
  peer: DicomWebPeer,
  batch: readonly SendableInstance[],
  signal: AbortSignal,
  options: SendStowOptions,
): AsyncGenerator<SentInstance> {
  const outcomes = await outcomesOf(peer, batch, signal, options);
  let fault: SentInstance | undefined;
  for (const [index, instance] of batch.entries()) {
    const { sopInstanceUid } = instance;
    let outcome = outcomes[index] ?? (fault && { ...fault, sopInstanceUid });
    if (!outcome) {
      if (signal.aborted) return;
      [outcome] = await outcomesOf(peer, [instance], signal, options);
    }
    outcome ??= faultOf(instance, "peer-silent", "The server did not say what became of the instance.");
    if (outcome.code !== undefined && whoseFault(outcome.code) === "peer") fault = outcome;
    yield outcome;
  }
}

/** In the order of `batch`; undefined where the answer, to more than one, leaves it open. */
async function outcomesOf(
  peer: DicomWebPeer,
  batch: readonly SendableInstance[],
  signal: AbortSignal,
  { silence = 300_000 }: SendStowOptions,
): Promise<(SentInstance | undefined)[]> {
  const boundary = `noctis-${randomBytes(16).toString("hex")}`;
  const head = Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, "latin1");
  const end = Buffer.from("\r\n", "latin1");
  const close = Buffer.from(`--${boundary}--\r\n`, "latin1");
  const content = batch.reduce((sum, { byteLength }) => sum + byteLength, 0);
  /** The one whose bytes are being read. */
  let reading: SendableInstance | undefined;
  async function* body(): AsyncGenerator<Buffer> {
    for (const instance of batch) {
      reading = instance;
      yield head;
      yield* instance.file();
      reading = undefined;
      yield end;
    }
    yield close;
  }
  const headers = {
    ...peer.headers,
    Accept: "application/dicom+json",
    "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}`,
    "Content-Length": `${content + batch.length * (head.length + end.length) + close.length}`,
    "User-Agent": "Noctis",
  };
  try {
    const answer = await postStream(`${peer.url}/studies`, { headers, body, signal, silence });
    return outcomesOfAnswer(batch, answer);
  } catch (error) {
    if (!(error instanceof HttpFailure)) throw error;
    const { code, message } = error;
    // Ours cannot be read: it fails, and the others are sent without it.
    if (code === "no-such-blob") {
      return batch.map((instance) => (instance === reading ? faultOf(instance, code, message) : undefined));
    }
    if (batch.length > 1 && mayBeOfInstance(code)) return batch.map(() => undefined);
    return batch.map((instance) => faultOf(instance, code, message));
  }
}

/** Whether a server may fail so for one instance alone. */
function mayBeOfInstance(code: ErrorCode): boolean {
  return code === "association-aborted" || code === "peer-silent";
}

/** Statuses by which a server says something of itself, not of an instance. */
const ofServer: Readonly<Record<number, ErrorCode>> = {
  401: "association-rejected",
  403: "association-rejected",
  404: "association-rejected",
  405: "association-rejected",
  408: "peer-silent",
  429: "peer-silent",
};

function outcomesOfAnswer(batch: readonly SendableInstance[], answer: HttpAnswer): (SentInstance | undefined)[] {
  const { status, mediaType, body } = answer;
  const items = readStoreAnswer(body);
  if (items && (status === 200 || status === 202 || status === 409)) {
    return batch.map(({ sopInstanceUid }) => {
      const own = items.filter((item) => item.sopInstanceUid === sopInstanceUid);
      // Of one alone an item without a UID, as of an instance that the server could not read, can mean no other.
      const [item] = own.length === 0 && batch.length === 1 && items.length === 1 ? items : own;
      const isMeant = item !== undefined && (item.sopInstanceUid ?? sopInstanceUid) === sopInstanceUid;
      return isMeant && own.length <= 1 ? { sopInstanceUid, status: item.status, comment: item.comment } : undefined;
    });
  }
  // All are stored (PS3.18 Table 10.5.3-1), by a server that says no more, or says it in XML alone.
  if (status === 200 && (body.length === 0 || mediaType === "application/dicom+xml")) {
    return batch.map(({ sopInstanceUid }) => ({ sopInstanceUid, status: 0 }));
  }
  const words = `The server answered ${status}${wordsOf(body)}.`;
  const code = ofServer[status] ?? faultOfFamily(status);
  if (code && !mayBeOfInstance(code)) return batch.map((instance) => faultOf(instance, code, words));
  if (batch.length > 1) return batch.map(() => undefined);
  return batch.map((instance) => faultOf(instance, code ?? "peer-failed", words));
}

/** Redirections and pages of success are no answers of a STOW-RS server: what was sent is at none. */
function faultOfFamily(status: number): ErrorCode | undefined {
  if (status >= 500) return "peer-silent";
  return status < 400 ? "association-rejected" : undefined;
}

/** Words of a problem document (RFC 9457). */
function wordsOf(body: Buffer): string {
  try {
    const problem: unknown = JSON.parse(body.toString("utf8"));
    if (typeof problem !== "object" || problem === null) return "";
    const words: unknown = Reflect.get(problem, "detail") ?? Reflect.get(problem, "title");
    return typeof words === "string" ? `: ${words.replace(/\.$/, "")}` : "";
  } catch {
    return "";
  }
}

function faultOf({ sopInstanceUid }: SendableInstance, code: ErrorCode, comment: string): SentInstance {
  return { sopInstanceUid, status: undefined, comment, code };
}
