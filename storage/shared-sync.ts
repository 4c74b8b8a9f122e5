/** One sync of a folder for all who need one: it holds for every name that was there before it began. */

/** A sync of each folder, shared. */
export class SharedSync {
  readonly #sync: (folder: string) => Promise<void>;
  readonly #running = new Map<string, Promise<void>>();
  readonly #next = new Map<string, Promise<void>>();

  /** @param sync makes the names in a folder durable */
  constructor(sync: (folder: string) => Promise<void>) {
    this.#sync = sync;
  }

  /**
   * Resolves when a sync of `folder` has ended that began after this call: a name may have come too late for one that is
   * under way, so whoever asks meanwhile shares the next. When that fails, it fails for all of them.
   */
  sync(folder: string): Promise<void> {
    const running = this.#running.get(folder);
    if (running === undefined) return this.#begin(folder);
    const waiting = this.#next.get(folder);
    if (waiting !== undefined) return waiting;
    const begin = () => {
      this.#next.delete(folder);
      return this.#begin(folder);
    };
    const next = running.then(begin, begin);
    this.#next.set(folder, next);
    return next;
  }

  #begin(folder: string): Promise<void> {
    const running = this.#sync(folder).finally(() => {
      if (this.#running.get(folder) === running) this.#running.delete(folder);
    });
    this.#running.set(folder, running);
    return running;
  }
}
