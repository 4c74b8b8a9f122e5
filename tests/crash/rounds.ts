/** Crash rounds: clients at work, a kill at a random moment, the way back, the audit; at the end the sweep. */
import { setTimeout as sleep } from "node:timers/promises";
import { loadConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { openArchive, type OpenArchive } from "../../server/open-archive.ts";
import { repeatable } from "../support/scan.ts";
import { type Account, openAccount } from "./account.ts";
import { audit, auditBytes, type Audited, FeedReader, withoutRow } from "./audit.ts";
import type { Subject } from "./subjects.ts";
import { startTraffic } from "./traffic.ts";
import { type Scene, type Victim, victims, type VictimName } from "./victims.ts";

export interface RoundOptions {
  readonly rounds: number;
  /** The same seed makes the same clients and moments; the machine makes the rest. */
  readonly seed: number;
  /** Hears of each round. */
  readonly tell?: (line: string) => void;
  /** Ends it after the round under way. */
  readonly signal?: AbortSignal;
}

/** The longest time (milliseconds) from the begin of the clients to the kill. */
const latestKill = 1200;
/** How long (milliseconds) the first round waits for an acknowledgement, so that there is something to lose. */
const firstWait = 20_000;
/** How long (milliseconds) what was killed stays away, when the test decides it. */
const away = 400;
/** How long (milliseconds) the way back may take. */
const patience = 60_000;

/** Runs the rounds; what was promised and not kept is in the account. */
export async function crashRounds(name: VictimName, options: RoundOptions): Promise<Account> {
  const victim: Victim = victims[name];
  const account = openAccount();
  const scene = await victim.open();
  try {
    const all: Subject[] = [];
    const feed = new FeedReader();
    for (let round = 1; round <= options.rounds && options.signal?.aborted !== true; round += 1) {
      await crashRound(victim, scene, { ...options, account, all, feed, round });
      options.tell?.(`round ${round}: ${account.counts.acknowledged} acknowledged, ${account.problems.length} broken`);
      if (account.problems.length > 20) break;
    }
    await inspecting(scene, account, async (audited) => {
      await sweepAll(audited);
      await auditBytes(audited);
      await audit(audited, all, feed);
    });
  } finally {
    await scene.stop();
  }
  return account;
}

interface Round extends RoundOptions {
  readonly account: Account;
  readonly all: Subject[];
  readonly feed: FeedReader;
  readonly round: number;
}

async function crashRound(victim: Victim, scene: Scene, { account, all, feed, round, seed }: Round): Promise<void> {
  const moment = repeatable(1 + seed * 7919 + round)(latestKill);
  const traffic = startTraffic(scene.url(), { account, all, seed, round, stubborn: victim.serverStays });
  if (round === 1) await firstAcknowledged(account);
  await sleep(moment);
  await scene.kill();
  account.counts.kills += 1;
  if (victim.staysAway) {
    await sleep(away);
    await demandRefusal(scene, account);
  }
  await scene.revive();
  if (victim.serverStays) await sleep(away);
  await traffic.stop();
  await awaitReady(scene);
  account.counts.rounds += 1;
  const fault = scene.fault();
  if (fault !== undefined) account.problems.push(`the server has ended: ${fault}`);
  const touched = all.filter((subject) => subject.round === round);
  await inspecting(scene, account, (audited) => audit(audited, touched, feed));
}

async function firstAcknowledged({ counts }: Account): Promise<void> {
  const until = Date.now() + firstWait;
  while (counts.acknowledged === 0 && Date.now() < until) await sleep(10);
}

/** While something is away, it is said so, and when to ask again. */
async function demandRefusal(scene: Scene, { problems }: Account): Promise<void> {
  const ready = await fetch(`${scene.url()}/health/ready`);
  await ready.arrayBuffer();
  if (ready.status !== 503) problems.push(`ready answers ${ready.status} while something is away`);
  if (ready.headers.get("retry-after") === null) problems.push("ready answers 503 without Retry-After");
  const live = await fetch(`${scene.url()}/health/live`);
  await live.arrayBuffer();
  if (live.status !== 200) problems.push(`live answers ${live.status} while something is away`);
}

async function awaitReady(scene: Scene): Promise<void> {
  const until = Date.now() + patience;
  while (Date.now() < until) {
    const response = await fetch(`${scene.url()}/health/ready`).catch(() => undefined);
    await response?.arrayBuffer();
    if (response?.status === 200) return;
    await sleep(50);
  }
  throw new Error("The server did not become ready again.");
}

/** Looks at the archive beside its server. */
async function inspecting(
  scene: Scene,
  account: Account,
  look: (audited: Audited & { readonly open: OpenArchive }) => Promise<void>,
): Promise<void> {
  const open = await openArchive(loadConfig(scene.settings), createLog("silent"), { beside: true });
  try {
    await look({ url: scene.url(), knex: open.knex, evidence: scene.evidence, account, open });
  } finally {
    await open.close();
  }
}

/** What a crash has left goes when its time has come, and nothing else does. */
async function sweepAll(audited: Audited & { readonly open: OpenArchive }): Promise<void> {
  const { account, knex, evidence, open } = audited;
  const { counts, problems } = account;
  const signal = AbortSignal.timeout(10 * patience);
  const before = await withoutRow(audited);
  counts.orphans = before.unlisted.length;
  // What a store of whole seconds dates to the first moments of the catalog could be older than it, and would stay.
  await knex("archive_state").update({ made_at: knex.raw("made_at - interval '1 minute'") });
  const look = { sample: 1, deep: true, parallel: 4, restart: true, graceHours: 0, keepHours: 0, signal } as const;
  const report = await open.archive.integrity.verify({ ...look, kind: "command", repair: "remove" });
  for (const [kind, count] of report?.faults ?? []) problems.push(`noctis verify finds ${count} ${kind}`);
  await knex("sweep").update({ since: knex.fn.now() });
  await open.archive.sweep(signal);
  const after = await withoutRow(audited);
  const left = [...after.listed, ...after.unlisted];
  counts.swept = before.listed.length + before.unlisted.length - left.length;
  if (left.length > 0) problems.push(`objects without a row stay: ${left.join(", ")}`);
  counts.drafts = await open.blobs.removeLeftovers(new Date(Date.now() + 60_000));
  const drafts = await evidence.drafts();
  if (drafts.length > 0) problems.push(`what was half done stays: ${drafts.join(", ")}`);
}
