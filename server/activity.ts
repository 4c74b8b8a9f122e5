/** Whether anybody is asking something of this process: what is done in the background gives way. */
import { setTimeout as sleep } from "node:timers/promises";

/** Milliseconds without a request after which the process counts as idle: a viewer asks again and again. */
const quietAfter = 2000;

/** Milliseconds between two looks whether it is. */
const lookEvery = 100;

/** The requests under way. */
export class Activity {
  #underWay = 0;
  #lastEnd = Number.NEGATIVE_INFINITY;
  readonly #now: () => number;

  /** @param now milliseconds of a clock that is never set back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A request begins; the answer is to be called when it has ended. */
  begin(): () => void {
    this.#underWay += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#underWay -= 1;
      this.#lastEnd = this.#now();
    };
  }

  /** Resolves when nobody has asked anything for a while, at once if so; rejects when `signal` aborts. */
  async quiet(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    while (this.#underWay > 0 || this.#now() - this.#lastEnd < quietAfter) {
      await sleep(lookEvery, undefined, { signal, ref: false });
    }
  }
}
