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
}

/** The longest time (milliseconds) from the begin of the clients to the kill. */
const latestKill = 1200;
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
    for (let round = 1; round <= options.rounds; round += 1) {
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

/** Objects that no row needs go when their time has come, and nothing else does. */
async function sweepAll(audited: Audited & { readonly open: OpenArchive }): Promise<void> {
  const { account, knex, open } = audited;
  const before = await withoutRow(audited);
  account.counts.orphans = before.unlisted.length;
  await knex("sweep").update({ since: knex.fn.now() });
  await open.archive.sweep(AbortSignal.timeout(patience));
  const after = await withoutRow(audited);
  account.counts.swept = before.listed.length + before.unlisted.length - after.listed.length - after.unlisted.length;
  if (after.listed.length > 0) account.problems.push(`${after.listed.length} objects were not swept`);
}
