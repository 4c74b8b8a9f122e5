/** Asks the catalog whether instances are still there, many at a time. */
import type { Catalog } from "../../storage/catalog.ts";

interface Question {
  readonly id: number;
  readonly resolve: (present: boolean) => void;
  readonly reject: (cause: unknown) => void;
}

/** Whether the row of an instance is still there. */
export type IsPresent = (instanceId: number) => Promise<boolean>;

/**
 * One query is under way at a time; what is asked meanwhile goes into the next. So no answer is older than its question,
 * and a viewer that asks for hundreds of frames costs a few queries.
 */
export function createPresence(catalog: Pick<Catalog, "presentInstances">): IsPresent {
  let waiting: Question[] = [];
  let busy = false;

  async function ask(): Promise<void> {
    while (waiting.length > 0) {
      const questions = waiting;
      waiting = [];
      try {
        const present = new Set(await catalog.presentInstances([...new Set(questions.map(({ id }) => id))]));
        for (const { id, resolve } of questions) resolve(present.has(id));
      } catch (cause) {
        for (const { reject } of questions) reject(cause);
      }
    }
    busy = false;
  }

  return (id) =>
    new Promise((resolve, reject) => {
      waiting.push({ id, resolve, reject });
      if (busy) return;
      busy = true;
      // What arrives in the same turn goes along.
      setImmediate(() => void ask());
    });
}
