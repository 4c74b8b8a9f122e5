/** Background work: named tasks that run again and again, each in one process at a time. */
import { setTimeout as sleep } from "node:timers/promises";
import type { WithLock } from "../storage/catalog-locks.ts";
import type { Log } from "./log.ts";

/** Work that is done every so often. Its state lives in rows, since any process may do it the next time. */
export interface BackgroundTask {
  /** Unique; also the name of its lock. */
  readonly name: string;
  /** Seconds from the end of one run to the begin of the next. */
  readonly everySeconds: number;
  /** True when the task may run in several processes at once, because it takes locks of its own. */
  readonly unlocked?: boolean;
  /** One run. It ends soon after `signal` aborts, which says that the server stops; what is left is done later. */
  readonly run: (signal: AbortSignal) => Promise<void>;
}

export interface Background {
  /** Begins no run any more, and resolves when those under way have ended, or after `timeoutSeconds`. */
  stop(timeoutSeconds: number): Promise<void>;
}

/** Starts the tasks: a failure is logged when it begins, not each time, and the task is tried again at its next turn. */
export function startBackground(tasks: readonly BackgroundTask[], withLock: WithLock, log: Log): Background {
  const stopping = new AbortController();
  const { signal } = stopping;
  const loops = Promise.all(tasks.map((task) => repeat(task, withLock, log, signal)));
  return {
    stop: async (timeoutSeconds) => {
      stopping.abort();
      const late = sleep(timeoutSeconds * 1000, undefined, { ref: false });
      await Promise.race([loops, late]);
    },
  };
}

async function repeat(task: BackgroundTask, withLock: WithLock, log: Log, signal: AbortSignal): Promise<void> {
  const { name, everySeconds, unlocked = false } = task;
  let failing = false;
  while (!signal.aborted) {
    try {
      if (unlocked) await task.run(signal);
      else await withLock(`task/${name}`, () => task.run(signal));
      if (failing) log.info({ task: name }, "background work succeeds again");
      failing = false;
    } catch (error) {
      if (!failing && !signal.aborted)
        log.error({ task: name, err: error }, "background work failed; it is tried again");
      failing = true;
    }
    // Processes that started together need not all ask at the same moment.
    const pause = everySeconds * (900 + Math.random() * 200);
    await sleep(pause, undefined, { signal }).catch(() => undefined);
  }
}
