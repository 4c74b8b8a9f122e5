/** Gathers instances that arrive while a commit is under way, so that they become rows in one transaction. */
import type { Catalog } from "../../storage/catalog.ts";
import type { CommitOutcome, InstanceRecord } from "../../storage/catalog-records.ts";
import { toArchiveError } from "../errors.ts";

interface Waiting {
  readonly record: InstanceRecord;
  readonly resolve: (outcome: CommitOutcome) => void;
  readonly reject: (error: unknown) => void;
}

/** Instances in one transaction at most. */
const largestBatch = 128;

/** A queue in front of the catalog: one commit at a time, of all that came in during the last one. */
export class CommitQueue {
  readonly #catalog: Pick<Catalog, "commit">;
  readonly #waiting: Waiting[] = [];
  #running = false;

  constructor(catalog: Pick<Catalog, "commit">) {
    this.#catalog = catalog;
  }

  /** Commits `record`, with others that come in meanwhile. @throws ArchiveError `database-unavailable`, `internal` */
  commit(record: InstanceRecord): Promise<CommitOutcome> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ record, resolve, reject });
      if (!this.#running) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#running = true;
    // What the same tick brings belongs together.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commitBatch(this.#waiting.splice(0, largestBatch));
    this.#running = false;
  }

  async #commitBatch(batch: readonly Waiting[]): Promise<void> {
    try {
      const outcomes = await this.#catalog.commit(batch.map(({ record }) => record));
      batch.forEach(({ resolve, reject }, index) => {
        const outcome = outcomes[index];
        if (outcome) resolve(outcome);
        else reject(new Error("a commit without an outcome"));
      });
    } catch (error) {
      const [only, ...others] = batch;
      if (!only) return;
      // One instance that PostgreSQL refuses must not fail its neighbours; a database that is away fails them all.
      if (others.length === 0 || toArchiveError(error).code !== "internal") {
        for (const { reject } of batch) reject(error);
        return;
      }
      // In halves: one of 128 that is refused costs 14 transactions more, not 128.
      const half = Math.ceil(batch.length / 2);
      await this.#commitBatch(batch.slice(0, half));
      await this.#commitBatch(batch.slice(half));
    }
  }
}
