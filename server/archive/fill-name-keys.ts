/** Keys of names for what was stored before there were any: until then fuzzy matching does not find it. */
import type { Catalog } from "../../storage/catalog.ts";
import { nameKeysOf } from "./index-values.ts";

/** Rows in one statement. */
const batch = 500;

/**
 * Gives keys to every row that lacks them, in batches, each of which is done for good: the work goes on where another
 * process left it. Costs three looks into an empty index when there is nothing to do. Ends soon after `signal` aborts.
 */
export async function fillNameKeys(catalog: Catalog, signal: AbortSignal): Promise<void> {
  for (const level of ["study", "series", "instance"] as const) {
    while (!signal.aborted) {
      const rows = await catalog.nameKeys.missing(level, batch);
      if (rows.length === 0) break;
      const filled = rows.map(({ id, attributes }) => ({ id, keys: nameKeysOf(attributes, level) ?? [] }));
      await catalog.nameKeys.write(level, filled);
    }
  }
}
