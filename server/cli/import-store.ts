/** Stores many instances: leaves out what the server has, sends the rest in parallel requests. */
import { createHash } from "node:crypto";
import { batches, partByRepetition } from "./import-batches.ts";
import { notStored, type Instance, type Outcome } from "./import-instance.ts";
import { forEachParallel } from "./import-parallel.ts";
import { ServerGone, type StowClient } from "./stow-client.ts";

/** How to store. */
export interface StoreOptions {
  readonly client: StowClient;
  /** Requests under way at once. */
  readonly connections: number;
  /** Told of what is about to be sent, once it is known what the server already has. */
  readonly onStart?: (files: number, bytes: number) => void;
  /** Told of files that are done and of bytes written, which may be taken back. */
  readonly onProgress?: (files: number, bytes: number) => void;
}

/** Instances parted by what the server has. */
export interface Presence {
  readonly held: Instance[];
  /** Not held, and no other instance of the import has the same SOP Instance UID. */
  readonly missing: Instance[];
  /** Instances that share a SOP Instance UID with another of the import, held or not. */
  readonly repeated: Instance[];
}

interface SeriesOfImport {
  readonly study: string;
  readonly series: string;
  readonly uids: Set<string>;
}

/** A UID that may stand in a URL; anything else is for the server to judge when the instance is sent. */
function isUid(text: string | undefined): text is string {
  return text !== undefined && /^[0-9.]{1,64}$/u.test(text);
}

function seriesKey(instance: Instance): string | undefined {
  const { studyInstanceUid, seriesInstanceUid } = instance.identifiers;
  return isUid(studyInstanceUid) && isUid(seriesInstanceUid) ? `${studyInstanceUid}/${seriesInstanceUid}` : undefined;
}

function groupBySeries(instances: readonly Instance[]): Map<string, SeriesOfImport> {
  const all = new Map<string, SeriesOfImport>();
  for (const instance of instances) {
    const key = seriesKey(instance);
    const uid = instance.identifiers.sopInstanceUid;
    if (key === undefined || uid === undefined) continue;
    const [study = "", series = ""] = key.split("/");
    const group = all.get(key) ?? { study, series, uids: new Set() };
    all.set(key, group);
    group.uids.add(uid);
  }
  return all;
}

/** Whether the server holds these very bytes; taken for granted of a server that does not tell a hash. */
async function holdsContent(instance: Instance, client: Pick<StowClient, "storedSha256">): Promise<boolean> {
  const stored = await client.storedSha256(instance.identifiers);
  if (stored === undefined) return true;
  const hash = createHash("sha256");
  for await (const chunk of instance.open()) hash.update(chunk);
  return hash.digest("hex") === stored;
}

/**
 * Asks the server once per series which instances it holds, and of those whether their content is that of the file: a
 * file with the UIDs of another is sent, so that the server tells what becomes of it. A server that cannot be asked is taken to hold none: then
 * everything is sent, and the server says what it thinks of it. Throws ServerGone.
 */
export async function askPresence(
  instances: readonly Instance[],
  client: Pick<StowClient, "heldInstances" | "storedSha256">,
  connections: number,
): Promise<Presence> {
  const { once, repeated } = partByRepetition(instances);
  const heldBySeries = new Map<string, Set<string>>();
  await forEachParallel(groupBySeries(once), connections, async ([key, { study, series, uids }]) => {
    heldBySeries.set(key, (await client.heldInstances(study, series, uids)) ?? new Set());
  });
  const isHeld = (instance: Instance): boolean =>
    heldBySeries.get(seriesKey(instance) ?? "")?.has(instance.identifiers.sopInstanceUid ?? "") ?? false;
  const held = new Set<Instance>();
  await forEachParallel(once.filter(isHeld), connections, async (instance) => {
    if (await holdsContent(instance, client)) held.add(instance);
  });
  return { held: [...held], missing: once.filter((instance) => !held.has(instance)), repeated };
}

function byteSum(instances: readonly Instance[]): number {
  return instances.reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/**
 * Stores instances and answers with the outcome of each. When the server goes away, what was not sent fails with that
 * reason; it never throws for it. Throws NoDicomWeb when the server turns out to store nothing.
 */
export async function storeAll(instances: readonly Instance[], options: StoreOptions): Promise<Map<Instance, Outcome>> {
  const { client, connections } = options;
  const outcomes = new Map<Instance, Outcome>();
  const store = async (batch: readonly Instance[]): Promise<void> => {
    const answers = await client.store(batch, (delta) => options.onProgress?.(0, delta));
    for (const [index, instance] of batch.entries()) {
      outcomes.set(instance, answers[index] ?? notStored("the server gave no answer for it"));
    }
    options.onProgress?.(batch.length, 0);
  };
  try {
    const { held, missing, repeated } = await askPresence(instances, client, connections);
    for (const instance of held) outcomes.set(instance, { kind: "already-there" });
    options.onStart?.(missing.length + repeated.length, byteSum(missing) + byteSum(repeated));
    await forEachParallel(batches(missing), connections, store);
    // One after the other, so that the first of them is stored and the next is measured against it.
    for (const instance of repeated) await store([instance]);
  } catch (error) {
    if (!(error instanceof ServerGone)) throw error;
    for (const instance of instances) {
      if (!outcomes.has(instance)) outcomes.set(instance, notStored(`not sent: the server is gone, ${error.message}`));
    }
  }
  return outcomes;
}
