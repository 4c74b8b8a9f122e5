/** Turns at what is used by few at a time: who comes too late waits, the first that came first. */

/** Turns by key, for example one a peer. */
export class Turns {
  readonly #most: number;
  readonly #waiting = new Map<string, (() => void)[]>();
  readonly #busy = new Map<string, number>();

  /** @param most turns of one key at a time */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Waits for a turn; gives what ends it, which may be called again and again. When `signal` aborts while it waits, it
   * comes at once and takes nobody's turn.
   */
  async take(key: string, signal?: AbortSignal): Promise<() => void> {
    const busy = this.#busy.get(key) ?? 0;
    if (busy >= this.#most && !(await this.#wait(key, signal))) return () => undefined;
    // Who waited has the turn of the one that ended.
    if (busy < this.#most) this.#busy.set(key, busy + 1);
    let isEnded = false;
    return () => {
      if (!isEnded) this.#end(key);
      isEnded = true;
    };
  }

  /** Whether the turn came before `signal` aborted. */
  #wait(key: string, signal?: AbortSignal): Promise<boolean> {
    if (signal?.aborted === true) return Promise.resolve(false);
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? [];
      this.#waiting.set(key, waiting);
      const giveUp = () => {
        waiting.splice(waiting.indexOf(begin), 1);
        resolve(false);
      };
      const begin = () => {
        signal?.removeEventListener("abort", giveUp);
        resolve(true);
      };
      waiting.push(begin);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  }

  #end(key: string): void {
    const next = this.#waiting.get(key)?.shift();
    if (next) {
      next();
      return;
    }
    this.#waiting.delete(key);
    const busy = (this.#busy.get(key) ?? 0) - 1;
    if (busy > 0) this.#busy.set(key, busy);
    else this.#busy.delete(key);
  }
}
