/** Forwarding: rules by which instances are sent on to peers as they are stored. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Catalog } from "../../storage/catalog.ts";
import type { ForwardingDefinition, ForwardingRule, ForwardingState } from "../../storage/catalog-forwarding.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import type { Peers } from "./peers.ts";
import type { QueryTags } from "./query-tags.ts";
import type { StoreLog } from "./store.ts";
import { readInstanceMatch } from "./study-match.ts";

/** A rule, and how it goes. */
export interface ForwardingReport extends ForwardingRule {
  readonly state: ForwardingState;
}

/** A rule as it is asked for. */
export interface ForwardingRequest extends ForwardingDefinition {
  /** Says that everything is meant, when nothing narrows it. */
  readonly all: boolean;
  /** Only changes with a higher sequence number; absent: those still to come, or, of a rule that is there, as before. */
  readonly since?: number | undefined;
}

export interface Forwarding {
  /**
   * Adds a rule.
   * @throws ArchiveError `invalid-query`, `no-such-peer`, `forwarding-rule-exists`, `too-many-forwarding-rules`
   */
  add(request: ForwardingRequest): Promise<ForwardingReport>;
  /** Every rule, the oldest first. */
  list(): Promise<readonly ForwardingReport[]>;
  /** @throws ArchiveError `no-such-forwarding-rule` */
  find(name: string): Promise<ForwardingReport>;
  /** Changes a rule; what waits for its old destination goes there. @throws as `add`, and `no-such-forwarding-rule` */
  change(name: string, request: ForwardingRequest): Promise<ForwardingReport>;
  /** Removes a rule; what was not sent by it is not sent. @throws ArchiveError `no-such-forwarding-rule` */
  remove(name: string): Promise<void>;
  /** Tries at once what failed, and what waits for its next attempt. @throws ArchiveError `no-such-forwarding-rule` */
  retry(name: string): Promise<ForwardingReport>;
  /** Looks at changes as they come, until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>;
}

export interface ForwardingDependencies {
  readonly peers: Pick<Peers, "find">;
  readonly queryTags: Pick<QueryTags, "current">;
  readonly log: StoreLog;
  /** Called when there is something to be sent. */
  readonly wake: () => void;
}

/** Each is looked at every second. */
const mostRules = 100;

/** Changes that a rule looks at in one transaction. */
const changesAtOnce = 1000;

/** How often (milliseconds) to look for changes. */
const lookEvery = 1000;

/** Makes the use cases of forwarding. */
export function createForwarding(
  { forwarding, changes }: Pick<Catalog, "forwarding" | "changes">,
  { peers, queryTags, log, wake }: ForwardingDependencies,
): Forwarding {
  const reported = async (rule: ForwardingRule): Promise<ForwardingReport> => ({
    ...rule,
    state: await forwarding.stateOf(rule),
  });
  const found = async (name: string): Promise<ForwardingRule> => {
    const rule = await forwarding.find(name);
    if (!rule) throw new ArchiveError("no-such-forwarding-rule", "There is no such rule of forwarding.");
    return rule;
  };
  const find = async (name: string): Promise<ForwardingReport> => reported(await found(name));

  async function check({ all, since: _since, ...rule }: ForwardingRequest): Promise<ForwardingDefinition> {
    await peers.find(rule.destination);
    const conditions = readInstanceMatch(rule.match, await queryTags.current());
    const isNarrow = conditions.length > 0 || rule.origins || rule.sendingAeTitles || rule.receivingAeTitles;
    if (Boolean(isNarrow) !== all) return rule;
    throw new ArchiveError(
      "invalid-query",
      all
        ? "all is true, but something narrows the rule: a rule has one of them."
        : "Nothing narrows the rule, which so means every instance: say all: true when that is meant.",
    );
  }

  /** Rules take turns: one that has all of an archive to look at holds up none of the others. */
  async function run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      let isBehind = false;
      for (const rule of await due()) {
        if (signal.aborted) return;
        if (await follow(rule)) isBehind = true;
      }
      if (!isBehind) await sleep(lookEvery, undefined, { signal }).catch(() => undefined);
    }
  }

  async function due(): Promise<readonly ForwardingRule[]> {
    // Where there is no rule, no number is needed.
    if ((await forwarding.due(Number.MAX_SAFE_INTEGER)).length === 0) return [];
    return forwarding.due(await changes.last());
  }

  /**
   * Has a rule look at the next changes; tells whether there may be more. One whose match is not understood any more
   * stays where it is, and nothing is lost.
   */
  async function follow(rule: ForwardingRule): Promise<boolean> {
    try {
      const conditions = readInstanceMatch(rule.match, await queryTags.current());
      const destinationAeTitle = await aeTitleOf(rule.destination);
      const done = await forwarding.step(rule, { conditions, destinationAeTitle, limit: changesAtOnce });
      if (!done) return false;
      if (done.missedUpTo !== undefined) {
        log.warn({ rule: rule.name, upTo: done.missedUpTo }, "changes were forgotten before they were forwarded");
      }
      if (done.instances > 0) wake();
      return done.changes === changesAtOnce;
    } catch (error) {
      const { code, message } = toArchiveError(error);
      if (code === "database-unavailable") throw error;
      if (rule.fault === null) log.warn({ rule: rule.name, err: error }, "a rule of forwarding cannot be followed");
      await forwarding.noteFault(rule.id, message);
      return false;
    }
  }

  /** Undefined when it has none, or is not known for a while: what is sent to it waits then. */
  async function aeTitleOf(name: string): Promise<string | undefined> {
    try {
      const peer = await peers.find(name);
      return peer.kind === "dimse" ? peer.aeTitle : undefined;
    } catch (error) {
      if (error instanceof ArchiveError && error.code === "no-such-peer") return undefined;
      throw error;
    }
  }

  return {
    add: async (request) => {
      const rule = await check(request);
      if ((await forwarding.list()).length >= mostRules) {
        throw new ArchiveError("too-many-forwarding-rules", `There are ${mostRules} rules already: remove one first.`);
      }
      await forwarding.add(rule, request.since ?? (await changes.last()));
      return find(rule.name);
    },
    list: async () => Promise.all((await forwarding.list()).map(reported)),
    find,
    change: async (name, request) => {
      await found(name);
      if (!(await forwarding.change(name, await check(request), request.since))) await found(name);
      return find(request.name);
    },
    remove: async (name) => {
      if (!(await forwarding.remove(name))) await found(name);
    },
    retry: async (name) => {
      await forwarding.retry(await found(name));
      wake();
      return find(name);
    },
    run,
  };
}
