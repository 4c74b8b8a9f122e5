/** Clients of a crash test: several at once store, delete, restore and replace until they are told to stop. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { newUid } from "../../server/dicom/uid.ts";
import { first, items, toDataSet } from "../support/dicom-json.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { repeatable, type Random } from "../support/scan.ts";
import type { Account } from "./account.ts";
import {
  composedOf,
  fileOf,
  newSubject,
  paletteOf,
  pathOf,
  type State,
  type Subject,
  type Version,
} from "./subjects.ts";

/** Clients at once. */
const clientCount = 6;

/** Behind this the object store takes an instance in several parts. */
const largeLength = 17 * 2 ** 20;

const removalsSchema = z.object({
  removals: z.array(z.object({ id: z.number(), why: z.string(), sopInstanceUid: z.string().optional() })),
});

/** Clients under way. */
export interface Traffic {
  /** Lets each client end what it does, and resolves then. */
  stop(): Promise<void>;
}

interface Client {
  /** Where the server is. */
  readonly url: string;
  readonly account: Account;
  readonly random: Random;
  readonly round: number;
  readonly study: string;
  readonly series: string;
  /** Instances that this client alone touches. */
  readonly own: Subject[];
  /** Those of all clients. */
  readonly all: Subject[];
}

/** What a client may do, and how often of all. */
const deeds: readonly (readonly [weight: number, deed: (client: Client) => Promise<void>])[] = [
  [30, (client) => storeOne(client, size(client.random))],
  [25, storeMany],
  [10, storeComposed],
  [5, storePalette],
  [12, deleteOne],
  [8, restoreOne],
  [10, replaceOne],
];

/** Starts the clients; what they touch is added to `all`. A client ends when the connection does, unless `stubborn`. */
export function startTraffic(
  url: string,
  options: { account: Account; all: Subject[]; seed: number; round: number; stubborn: boolean },
): Traffic {
  const { account, all, seed, round, stubborn } = options;
  const study = newUid();
  const stopping = new AbortController();
  const clients = Array.from({ length: clientCount }, (_, number) => ({
    url,
    account,
    random: repeatable(1 + seed * 1009 + round * 31 + number),
    round,
    study,
    series: newUid(),
    own: [],
    all,
  }));
  const running = clients.map(async (client, number) => {
    const begin = number === 0 ? () => storeOne(client, largeLength) : undefined;
    for (let deed = begin ?? chosen(client.random); !stopping.signal.aborted; deed = chosen(client.random)) {
      try {
        await deed(client);
      } catch (error) {
        // `fetch` says TypeError of a connection that broke; anything else is a fault of the test.
        if (!(error instanceof TypeError)) throw error;
        if (!stubborn) return;
        await sleep(20);
      }
    }
  });
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(running);
    },
  };
}

function chosen(random: Random): (client: Client) => Promise<void> {
  let left = random(deeds.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, deed] of deeds) {
    if (left < weight) return deed;
    left -= weight;
  }
  return (client) => storeOne(client, size(random));
}

function size(random: Random): number {
  return random(20) === 0 ? 2_000_000 + random(3_000_000) : 1000 + random(100_000);
}

async function storeOne(client: Client, byteLength: number): Promise<void> {
  const subject = added(client);
  const { bytes, version } = fileOf(subject, byteLength, client.random);
  await store(client, new Map([[subject, version]]), "application/dicom", bytes);
}

async function storeMany(client: Client): Promise<void> {
  const files = Array.from({ length: 2 + client.random(6) }, () => {
    const subject = added(client);
    return { subject, ...fileOf(subject, size(client.random), client.random) };
  });
  const versions = new Map(files.map(({ subject, version }) => [subject, version]));
  await store(client, versions, multipartType, multipartBody(files.map(({ bytes }) => bytes)));
}

/** More than a request keeps in memory, so that it is put aside first. */
async function storeComposed(client: Client): Promise<void> {
  const subject = added(client);
  const { contentType, body, version } = composedOf(subject, 100_000 + client.random(400_000), client.random);
  await store(client, new Map([[subject, version]]), contentType, body);
}

/** An instance that belongs to no patient. */
async function storePalette(client: Client): Promise<void> {
  const subject = added(client, "palette");
  const { bytes, version } = paletteOf(subject, size(client.random), client.random);
  await store(client, new Map([[subject, version]]), "application/dicom", bytes, "color-palettes");
}

/** Other bytes with the same UIDs (DUPLICATES=replace). */
async function replaceOne(client: Client): Promise<void> {
  const subject = pick(client, (state) => state !== "absent");
  if (!subject) return;
  const { bytes, version } = fileOf(subject, size(client.random), client.random);
  await store(client, new Map([[subject, version]]), "application/dicom", bytes);
}

async function deleteOne(client: Client): Promise<void> {
  const subject = pick(client, (state) => state !== "absent");
  if (!subject) return;
  const settle = began(client, subject, "absent");
  const response = await fetch(`${client.url}/dicom-web/${pathOf(subject)}`, { method: "DELETE" });
  settle(await verdictOf(client, response, 204));
}

/** Brings back what a deletion took. */
async function restoreOne(client: Client): Promise<void> {
  const subject = pick(client, (state, { deleted }) => state === "absent" && deleted !== undefined);
  if (subject?.deleted === undefined) return;
  const listed = await fetch(`${client.url}/api/removed?limit=1000`);
  if (listed.status !== 200) return void (await verdictOf(client, listed, 200));
  const { removals } = removalsSchema.parse(await listed.json());
  const removal = removals.find(({ why, sopInstanceUid }) => why === "deleted" && sopInstanceUid === subject.instance);
  if (!removal) return;
  const settle = began(client, subject, subject.deleted);
  const response = await fetch(`${client.url}/api/removed/${removal.id}/restore`, { method: "POST" });
  settle(await verdictOf(client, response, 200));
}

/** A new instance of this client. */
function added(client: Client, kind: Subject["kind"] = "image"): Subject {
  const subject = newSubject(client.study, client.series, client.round, kind);
  client.own.push(subject);
  client.all.push(subject);
  return subject;
}

/** One of the client's images whose state is known, and pleases. */
function pick(client: Client, pleases: (state: State, subject: Subject) => boolean): Subject | undefined {
  const fitting = client.own.filter((subject) => {
    const [state, ...others] = subject.possible;
    if (subject.kind !== "image" || state === undefined || others.length > 0) return false;
    return pleases(state, subject);
  });
  return fitting[fitting.length === 0 ? 0 : client.random(fitting.length)];
}

/** What an answer says of one instance. */
type Verdict = "done" | "refused" | "open";

/** From here on an instance may be in `wanted`, too, until the answer tells. */
function began(client: Client, subject: Subject, wanted: State): (verdict: Verdict) => boolean {
  const before = subject.possible;
  const was = before[0];
  subject.possible = [...before, wanted];
  subject.round = client.round;
  return (verdict) => {
    if (verdict === "open") return false;
    if (verdict === "refused") {
      subject.possible = before;
      return false;
    }
    subject.possible = [wanted];
    if (wanted === "absent") subject.deleted = was === "absent" ? undefined : was;
    if (was !== "absent" || wanted === subject.deleted) client.account.counts.changed += 1;
    return true;
  };
}

async function store(
  client: Client,
  versions: ReadonlyMap<Subject, Version>,
  contentType: string,
  body: Buffer,
  resource = "studies",
): Promise<void> {
  const { counts, problems } = client.account;
  const settles = new Map([...versions].map(([subject, version]) => [subject, began(client, subject, version)]));
  const headers = { "Content-Type": contentType, Accept: "application/dicom+json" };
  const response = await fetch(`${client.url}/dicom-web/${resource}`, {
    method: "POST",
    headers,
    body: new Uint8Array(body),
  });
  if (response.status !== 200 && response.status !== 202) {
    const verdict = await verdictOf(client, response, 200);
    for (const settle of settles.values()) settle(verdict);
    return;
  }
  const answer = toDataSet(await response.json());
  const stored = new Set(items(answer, "00081199").map((item) => first(item, "00081155")));
  const failed = new Map(items(answer, "00081198").map((item) => [first(item, "00081155"), first(item, "00081197")]));
  for (const [{ instance }, settle] of settles) {
    if (stored.has(instance)) {
      settle("done");
      counts.acknowledged += 1;
      continue;
    }
    // Refused: Out of resources (PS3.18 Table I.2-1): the answer of the database may be what was lost.
    if (failed.get(instance) !== 0xa700) problems.push(`a store failed with reason ${String(failed.get(instance))}`);
    counts.refused += 1;
  }
}

/** What a whole answer says. A refusal while something is away is 503 with Retry-After, or 507. */
async function verdictOf({ account }: Client, response: Response, success: number): Promise<Verdict> {
  const text = await response.text();
  if (response.status === success) return "done";
  account.counts.refused += 1;
  if (response.status === 503 && response.headers.get("retry-after") === null) {
    account.problems.push(`503 without Retry-After: ${text}`);
  }
  if (response.status === 503 || response.status === 507) {
    return text.includes('"code":"database-unavailable"') ? "open" : "refused";
  }
  account.problems.push(`${response.status} from ${new URL(response.url).pathname}: ${text}`);
  return "open";
}
