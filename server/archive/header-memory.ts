/** Memory of the long headers that the requests of this process hold: who wants more than there is waits for others. */
import { setTimeout as sleep } from "node:timers/promises";
import { ByteBudget, type BudgetShare } from "../../storage/byte-budget.ts";

/** Bytes of a header that count for nothing: those of an ordinary image take a tenth of it. */
const ordinary = 256 * 1024;

/** Headers of all requests at the same time, in bytes as the scan counts them; V8 lets the heap grow to several times that. */
const total = 32 * 2 ** 20;

/**
 * Milliseconds to wait for others. Who holds a header may wait for the budget of the object store, whose holders may wait
 * for this one: the circle ends here.
 */
const patience = 20_000;

const budget = new ByteBudget(total, 1);

/** What the header of one file takes. */
export class HeaderMemory {
  #share: BudgetShare | undefined = budget.share();
  #taken = ordinary;

  /** Resolves when the header may hold `bytes`, or has waited long enough; undefined when it may at once. */
  growTo(bytes: number): Promise<void> | undefined {
    if (bytes <= this.#taken || !this.#share) return undefined;
    const more = bytes - this.#taken;
    this.#taken = bytes;
    return this.#take(this.#share, more);
  }

  async #take(share: BudgetShare, bytes: number): Promise<void> {
    const done = new AbortController();
    const late = sleep(patience, "late", { signal: done.signal }).catch(() => undefined);
    const first = await Promise.race([share.take(bytes), late]);
    done.abort();
    if (first === "late") this.release();
  }

  /** Lets others have it; from then on the file counts for nothing. */
  release(): void {
    this.#share?.giveBack();
    this.#share = undefined;
  }
}
