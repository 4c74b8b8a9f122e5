/** Changes: what happened to instances, in order and without gaps, for those who keep up with the archive. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Catalog } from "../../storage/catalog.ts";
import type { Change } from "../../storage/catalog-changes.ts";
import { ArchiveError } from "../errors.ts";

export type { Change };

/** Which changes to read. */
export interface ChangeRequest {
  /** Only those with a higher sequence number; `latest`: only those that are still to come. */
  readonly since: number | "latest";
  /** At most so many. */
  readonly limit: number;
  /** How long (seconds) to wait for one when there is none. */
  readonly wait?: number;
  /** Ends the wait early. */
  readonly signal?: AbortSignal;
}

/** A page of the feed. */
export interface ChangeFeedPage {
  readonly changes: readonly Change[];
  /** What to give as `since` for the next page. */
  readonly next: number;
  /** Whether there are further changes already. */
  readonly more: boolean;
}

/** How often (milliseconds) a waiting request looks. */
const lookEvery = 250;

/** Changes are forgotten in batches; no more than so many in one go. */
const mostBatches = 1000;

/** Makes the use cases of the feed. */
export function createChanges({ changes }: Pick<Catalog, "changes">, keepDays: number | undefined) {
  /** @throws ArchiveError `changes-gone` when some after `since` are no longer kept */
  async function page(since: number, limit: number): Promise<ChangeFeedPage> {
    const { changes: found, lastForgotten } = await changes.read(since, limit + 1);
    if (since < lastForgotten) {
      const sentence = `Changes up to ${lastForgotten} are no longer kept: search for what is there, and go on with since=${lastForgotten}.`;
      throw new ArchiveError("changes-gone", sentence);
    }
    const answered = found.slice(0, limit);
    return { changes: answered, next: answered.at(-1)?.sequence ?? since, more: found.length > limit };
  }

  return {
    /** Changes after a number. @throws ArchiveError `changes-gone` */
    changes: async (request: ChangeRequest): Promise<ChangeFeedPage> => {
      const { limit, wait = 0, signal } = request;
      const since = request.since === "latest" ? await changes.last() : request.since;
      const end = Date.now() + wait * 1000;
      while (true) {
        const answer = await page(since, limit);
        const left = end - Date.now();
        if (answer.changes.length > 0 || left <= 0 || signal?.aborted) return answer;
        await sleep(Math.min(lookEvery, left), undefined, signal && { signal }).catch(() => undefined);
      }
    },

    /** Forgets changes that are older than the archive keeps them. */
    forgetOldChanges: async (signal: AbortSignal): Promise<void> => {
      if (keepDays === undefined) return;
      for (let batch = 0; batch < mostBatches && !signal.aborted; batch += 1) {
        if ((await changes.forget(keepDays)) === 0) return;
      }
    },
  };
}
