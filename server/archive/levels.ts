/** The order of the levels of the information model. */
import type { Level } from "./attributes.ts";

const levelOrder: readonly Level[] = ["study", "series", "instance"];

/** Whether `level` is below the level `of`. */
export function isBelow(level: Level, of: Level): boolean {
  return levelOrder.indexOf(level) > levelOrder.indexOf(of);
}
