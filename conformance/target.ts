/** The DIMSE application under test, as command lines name it. */
import type { DimseTarget } from "./dimse/association.ts";

/** AE@HOST:PORT. Throws RangeError when it is something else. */
export function parseDimseTarget(text: string): DimseTarget {
  const [, aeTitle, host, port] = /^([^@]+)@(.+):(\d+)$/.exec(text) ?? [];
  if (aeTitle === undefined || host === undefined) throw new RangeError("--dimse takes AE@HOST:PORT.");
  return { aeTitle, host, port: Number(port) };
}
