/** A client of STOW-RS (PS3.18 10.5) and of the one QIDO-RS search that the importer needs. */
import { randomBytes } from "node:crypto";

import { sentence } from "./import-arguments.ts";
import { ConnectionFailed, Exchange, type Reply, type RetryPolicy } from "./import-exchange.ts";
import { type Identifiers, InstanceUnreadable, notStored, type Instance, type Outcome } from "./import-instance.ts";
import { matchOutcomes, parseJson, readStoreResponse, trimUid } from "./import-outcomes.ts";
import { assertSearch, assertStore } from "./import-probe.ts";

const dicomJson = "application/dicom+json";
const sopInstanceUidTag = "00080018";
const pageSize = 1000;
/** A search for one study takes milliseconds; what is silent for longer is no archive that could take files. */
const probeMs = 10_000;

/** Told of every byte written; a negative number takes back what must be sent again. */
export type ByteListener = (delta: number) => void;

/** The server does not answer any more. `message` is a phrase such as "connection refused". */
export class ServerGone extends Error {
  override readonly name = "ServerGone";
}

/** How to reach the server. */
export interface StowClientOptions {
  /** The DICOMweb root, e.g. `http://127.0.0.1:8080/dicom-web`. */
  readonly url: URL;
  /** Connections open at once. */
  readonly connections: number;
  readonly retry?: RetryPolicy;
}

/** Words of a problem document (RFC 9457) or of a short plain answer, for the user. */
function words(reply: Reply): string {
  const problem = parseJson(reply.body);
  if (typeof problem === "object" && problem !== null) {
    const detail: unknown = Reflect.get(problem, "detail") ?? Reflect.get(problem, "title");
    return typeof detail === "string" ? `: ${detail}` : "";
  }
  const text = reply.body.toString("utf8", 0, 200).trim();
  return text === "" || text.startsWith("<") ? "" : `: ${text.split("\n", 1).join("")}`;
}

/** The outcome of a single instance whose answer holds no Store Instances Response. */
function outcomeOfStatus(reply: Reply): Outcome {
  if (reply.status === 200) return { kind: "stored" };
  return notStored(`the server answered ${reply.status}${words(reply)}`);
}

/** The outcome of a request for one instance: its item, or else what the status says. */
function singleOutcome(instance: Instance, reply: Reply): Outcome {
  const items = readStoreResponse(reply.body) ?? [];
  const [outcome] = matchOutcomes([instance], items);
  return outcome ?? items.find((item) => item.outcome.kind === "not-stored")?.outcome ?? outcomeOfStatus(reply);
}

/** The instance as a part's body; its length must be what was announced, or the request would hang. */
async function* checkedBytes(instance: Instance): AsyncGenerator<Uint8Array> {
  let left = instance.byteLength;
  for await (const chunk of instance.open()) {
    left -= chunk.byteLength;
    if (left < 0) break;
    yield chunk;
  }
  if (left !== 0) throw new InstanceUnreadable(instance, "the file changed while it was read");
}

function partHead(boundary: string): Buffer {
  return Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`, "latin1");
}

/** A client for one server. */
export class StowClient {
  readonly #exchange: Exchange;
  readonly #root: URL;

  constructor(options: StowClientOptions) {
    this.#exchange = new Exchange(options.url, options.connections, options.retry);
    this.#root = options.url;
  }

  /**
   * Stores instances in one multipart/related request, and singly those whose outcome the answer leaves in doubt. The
   * outcomes stand in the order of `instances`. Throws ServerGone when nothing answers at all, and NoDicomWeb when the
   * server stores nothing, whatever it is.
   */
  async store(instances: readonly Instance[], onBytes: ByteListener = () => undefined): Promise<Outcome[]> {
    const [first, second] = instances;
    if (first === undefined) return [];
    if (second === undefined) return [await this.#storeSingle(first, onBytes)];
    const outcomes: Outcome[] = [];
    for (const [index, outcome] of (await this.#storeTogether(instances, onBytes)).entries()) {
      const instance = instances[index];
      if (instance === undefined) continue;
      if (outcome === undefined) onBytes(-instance.byteLength);
      outcomes.push(outcome ?? (await this.#storeSingle(instance, onBytes)));
    }
    return outcomes;
  }

  /**
   * SOP Instance UIDs of a series that the server holds (QIDO-RS, PS3.18 10.6). Stops paging as soon as all of `wanted`
   * are found. Undefined when the server does not answer such a search. Throws ServerGone.
   */
  async heldInstances(study: string, series: string, wanted: ReadonlySet<string>): Promise<Set<string> | undefined> {
    const held = new Set<string>();
    for (let offset = 0; ;) {
      const query = `includefield=${sopInstanceUidTag}&limit=${pageSize}&offset=${offset}`;
      const path = `studies/${encodeURIComponent(study)}/series/${encodeURIComponent(series)}/instances?${query}`;
      const reply = await this.#get(path);
      if (reply.status === 204 || reply.status === 404) return held;
      const page = parseJson(reply.body);
      if (reply.status !== 200 || !Array.isArray(page)) return undefined;
      const before = held.size;
      for (const uid of page.map(sopInstanceUid)) if (uid !== undefined) held.add(uid);
      // A server may give shorter pages than asked, or ignore the offset: only a page without news is the last.
      if (held.size === before || [...wanted].every((uid) => held.has(uid))) return held;
      offset += page.length;
    }
  }

  /**
   * SHA-256 in hexadecimal of an instance as the server holds it, which Noctis tells as its ETag. Undefined when the
   * server does not tell. Throws ServerGone.
   */
  async storedSha256(identifiers: Identifiers): Promise<string | undefined> {
    const { studyInstanceUid: study = "", seriesInstanceUid: series = "", sopInstanceUid: instance = "" } = identifiers;
    const path = `studies/${study}/series/${series}/instances/${instance}`;
    const { status, etag = "" } = await this.#ask("HEAD", path, "application/dicom");
    return status === 200 ? /^"([0-9a-f]{64})"$/.exec(etag)?.[1] : undefined;
  }

  /** Throws NoDicomWeb when the server cannot be a DICOMweb server, ServerGone when nothing answers within `withinMs`. */
  async probe(withinMs = probeMs): Promise<void> {
    assertSearch(await this.greet(withinMs));
  }

  /** Resolves when the server answers anything at all; throws ServerGone after a few attempts. */
  async greet(withinMs?: number): Promise<Reply> {
    const question = { method: "GET", url: this.#under("studies?limit=1"), headers: { accept: dicomJson } } as const;
    try {
      return await this.#exchange.ask({ ...question, ...(withinMs !== undefined && { withinMs }) }, 3);
    } catch (error) {
      throw new ServerGone(sentence(error), { cause: error });
    }
  }

  /** Closes the kept connections. */
  close(): void {
    this.#exchange.close();
  }

  #get(path: string): Promise<Reply> {
    return this.#ask("GET", path, dicomJson);
  }

  async #ask(method: "GET" | "HEAD", path: string, accept: string): Promise<Reply> {
    try {
      return await this.#exchange.ask({ method, url: this.#under(path), headers: { accept } });
    } catch (error) {
      if (error instanceof ConnectionFailed) throw new ServerGone(error.message, { cause: error });
      throw error;
    }
  }

  #under(path: string): URL {
    const root = this.#root.href.replace(/\/+$/u, "");
    return new URL(`${root}/${path}`);
  }

  async #storeTogether(instances: readonly Instance[], onBytes: ByteListener): Promise<(Outcome | undefined)[]> {
    const inDoubt = instances.map(() => undefined);
    try {
      const items = readStoreResponse((await this.#post(instances, onBytes)).body);
      return items === undefined ? inDoubt : matchOutcomes(instances, items);
    } catch (error) {
      if (error instanceof InstanceUnreadable) {
        return instances.map((instance) => (instance === error.instance ? notStored(error.message) : undefined));
      }
      if (!(error instanceof ConnectionFailed)) throw error;
      await this.#assertAlive(error);
      return inDoubt;
    }
  }

  async #storeSingle(instance: Instance, onBytes: ByteListener): Promise<Outcome> {
    try {
      return singleOutcome(instance, await this.#post([instance], onBytes));
    } catch (error) {
      if (error instanceof InstanceUnreadable) return notStored(error.message);
      if (!(error instanceof ConnectionFailed)) throw error;
      await this.#assertAlive(error);
      return notStored(`sending it failed, though the server answers: ${error.message}`);
    }
  }

  /** Tells a request that fails by itself from a server that is gone: any answer at all is a sign of life. */
  async #assertAlive(error: ConnectionFailed): Promise<void> {
    try {
      await this.greet();
    } catch {
      throw new ServerGone(error.message, { cause: error });
    }
  }

  /** However it ends, every byte of `instances` has then been counted once. */
  async #post(instances: readonly Instance[], onBytes: ByteListener): Promise<Reply> {
    const boundary = `noctis-${randomBytes(16).toString("hex")}`;
    const head = partHead(boundary);
    const end = Buffer.from("\r\n", "latin1");
    const close = Buffer.from(`--${boundary}--\r\n`, "latin1");
    const content = instances.reduce((sum, { byteLength }) => sum + byteLength, 0);
    let counted = 0;
    const count: ByteListener = (delta) => {
      counted += delta;
      onBytes(delta);
    };
    const url = this.#under("studies");
    const headers = {
      accept: dicomJson,
      "content-type": `multipart/related; type="application/dicom"; boundary=${boundary}`,
      "content-length": content + instances.length * (head.length + end.length) + close.length,
    };
    const body = async function* body(): AsyncGenerator<Uint8Array> {
      for (const instance of instances) {
        yield head;
        for await (const chunk of checkedBytes(instance)) {
          yield chunk;
          count(chunk.byteLength);
        }
        yield end;
      }
      yield close;
    };
    try {
      const reply = await this.#exchange.ask({ method: "POST", url, headers, body, onRetry: () => count(-counted) });
      assertStore(reply);
      return reply;
    } finally {
      count(content - counted);
    }
  }
}

function sopInstanceUid(item: unknown): string | undefined {
  if (typeof item !== "object" || item === null) return undefined;
  const element: unknown = Reflect.get(item, sopInstanceUidTag);
  if (typeof element !== "object" || element === null) return undefined;
  const list: unknown = Reflect.get(element, "Value");
  const uid: unknown = Array.isArray(list) ? list[0] : undefined;
  return typeof uid === "string" ? trimUid(uid) : undefined;
}
