/** A budget of bytes in memory that many share: who wants more than is left waits, and nobody waits for ever. */
import { ArchiveError } from "../server/errors.ts";

/** What one of them holds. */
export interface BudgetShare {
  /** Resolves when `bytes` more may be held. */
  take(bytes: number): Promise<void>;
  /** Gives everything back, and waits for nothing any more. May be called again and again. */
  giveBack(): void;
  /** From now on it waits for bytes of somebody else, until `received`. */
  awaits(): void;
  received(): void;
  /** Aborts, with ArchiveError `request-timeout`, when others wait for what it holds and its bytes come too slowly. */
  readonly signal: AbortSignal;
}

interface Waiting {
  readonly grant: (overdrawn: boolean) => void;
  readonly bytes: number;
  readonly since: number;
}

/** Who holds something, and what it is asked whether it may go on. */
interface Holder {
  /** @param now as `performance.now()` tells it */
  readonly giveUpIfSlow: (now: number) => void;
}

/** What a holder must receive in a millisecond (bytes) while others wait: 64 KiB/s, a twentieth of a slow line. */
const leastSpeed = 65.536;

/**
 * Milliseconds that others wait before holders are looked at, and that each of these may be silent: longer than a header
 * waits for its memory (server/archive/header-memory.ts).
 */
const usualPatience = 30_000;

/**
 * A budget of `total` bytes. Whoever holds some and waits for more could wait for others that do the same: so the
 * `overdrafts` that have waited longest get what they want beyond the total, until they have given everything back. Who
 * holds some and waits for a client that has gone silent is given up, when others have waited for `patience`.
 */
export class ByteBudget {
  #left: number;
  #overdrafts: number;
  readonly #waiting: Waiting[] = [];
  readonly #holders = new Set<Holder>();
  readonly #patience: number;
  #watch: NodeJS.Timeout | undefined;

  constructor(total: number, overdrafts: number, patience = usualPatience) {
    this.#left = total;
    this.#overdrafts = overdrafts;
    this.#patience = patience;
  }

  /** A share that holds nothing yet. */
  share(): BudgetShare {
    let held = 0;
    let overdrawn = false;
    let waiting: Waiting | undefined;
    /** Since when it waits for bytes, and how long it did before, of what it holds. */
    let awaitsSince: number | undefined;
    let awaited = 0;
    const stop = new AbortController();
    const holder: Holder = {
      giveUpIfSlow: (now) => {
        if (awaitsSince === undefined) return;
        const silence = now - awaitsSince;
        const time = awaited + silence;
        const isSlow = time > this.#patience && held < time * leastSpeed;
        if (isSlow || silence > this.#patience) stop.abort(tooSlow());
      },
    };
    const grant = (bytes: number) => {
      held += bytes;
      this.#left -= bytes;
      this.#holders.add(holder);
    };
    return {
      signal: stop.signal,
      awaits: () => {
        awaitsSince = performance.now();
      },
      received: () => {
        if (awaitsSince !== undefined) awaited += performance.now() - awaitsSince;
        awaitsSince = undefined;
      },
      take: (bytes) => {
        if (overdrawn || (this.#waiting.length === 0 && bytes <= this.#left)) {
          grant(bytes);
          return Promise.resolve();
        }
        return new Promise((resolve) => {
          waiting = {
            bytes,
            since: performance.now(),
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
        this.#holders.delete(holder);
        [waiting, overdrawn, held, awaited] = [undefined, false, 0, 0];
        this.#serve();
      },
    };
  }

  #serve(): void {
    for (let first = this.#waiting[0]; first; first = this.#waiting[0]) {
      const beyond = first.bytes > this.#left;
      if (beyond && this.#overdrafts === 0) return this.#watchHolders();
      if (beyond) this.#overdrafts -= 1;
      this.#waiting.shift();
      first.grant(beyond);
    }
  }

  /** Looks at the holders again and again, as long as somebody waits. */
  #watchHolders(): void {
    if (this.#watch !== undefined) return;
    this.#watch = setTimeout(() => {
      this.#watch = undefined;
      const [first] = this.#waiting;
      if (!first) return;
      const now = performance.now();
      if (now - first.since > this.#patience) for (const holder of this.#holders) holder.giveUpIfSlow(now);
      this.#watchHolders();
    }, this.#patience / 10).unref();
  }
}

function tooSlow(): ArchiveError {
  return new ArchiveError(
    "request-timeout",
    "The instance came so slowly, or not at all any more, that others could not be stored meanwhile: send it again.",
  );
}
