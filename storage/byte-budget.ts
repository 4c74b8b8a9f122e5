/** A budget of bytes in memory that many share: who wants more than is left waits, and nobody waits for ever. */

/** What one of them holds. */
export interface BudgetShare {
  /** Resolves when `bytes` more may be held. */
  take(bytes: number): Promise<void>;
  /** Gives everything back, and waits for nothing any more. May be called again and again. */
  giveBack(): void;
}

interface Waiting {
  readonly grant: (overdrawn: boolean) => void;
  readonly bytes: number;
}

/**
 * A budget of `total` bytes. Whoever holds some and waits for more could wait for others that do the same: so the
 * `overdrafts` that have waited longest get what they want beyond the total, until they have given everything back.
 */
export class ByteBudget {
  #left: number;
  #overdrafts: number;
  readonly #waiting: Waiting[] = [];

  constructor(total: number, overdrafts: number) {
    this.#left = total;
    this.#overdrafts = overdrafts;
  }

  /** A share that holds nothing yet. */
  share(): BudgetShare {
    let held = 0;
    let overdrawn = false;
    let waiting: Waiting | undefined;
    const grant = (bytes: number) => {
      held += bytes;
      this.#left -= bytes;
    };
    return {
      take: (bytes) => {
        if (overdrawn || (this.#waiting.length === 0 && bytes <= this.#left)) {
          grant(bytes);
          return Promise.resolve();
        }
        return new Promise((resolve) => {
          waiting = {
            bytes,
            grant: (beyond) => {
              waiting = undefined;
              overdrawn = beyond;
              grant(bytes);
              resolve();
            },
          };
          this.#waiting.push(waiting);
          this.#serve();
        });
      },
      giveBack: () => {
        if (waiting) this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        if (overdrawn) this.#overdrafts += 1;
        this.#left += held;
        [waiting, overdrawn, held] = [undefined, false, 0];
        this.#serve();
      },
    };
  }

  #serve(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const beyond = first.bytes > this.#left;
      if (beyond && this.#overdrafts === 0) return;
      if (beyond) this.#overdrafts -= 1;
      this.#waiting.shift();
      first.grant(beyond);
    }
  }
}
