/** A time limit for a peer that is not held to it while this process was too busy to look. */

/** Runs out unless it is started again, or stopped, in time. */
export class TimeLimit {
  readonly #milliseconds: number;
  readonly #onOver: () => void;
  #timer: NodeJS.Timeout | undefined;
  #starts = 0;

  constructor(milliseconds: number, onOver: () => void) {
    this.#milliseconds = milliseconds;
    this.#onOver = onOver;
  }

  /** The time begins, anew if it runs already. */
  start(): void {
    this.#starts += 1;
    if (this.#timer) this.#timer.refresh();
    else this.#timer = setTimeout(() => this.#onTimer(), this.#milliseconds);
  }

  /** The time begins anew, if it runs. */
  restart(): void {
    if (this.#timer) this.start();
  }

  stop(): void {
    this.#starts += 1;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #onTimer(): void {
    const starts = this.#starts;
    // What has arrived in the meantime is looked at first: sockets come between timers and immediates.
    setImmediate(() => {
      if (starts === this.#starts) this.#onOver();
    });
  }
}
