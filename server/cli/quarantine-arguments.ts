/** The arguments of `noctis quarantine`, checked. */
import { parseArgs } from "node:util";
import { type QuarantineFilter, quarantineReasons } from "../archive/quarantine.ts";

/** What to do with which files. */
export interface QuarantineArguments {
  readonly action: "list" | "retry" | "purge";
  /** Undefined: every file that the filter names. */
  readonly ids: readonly number[] | undefined;
  readonly filter: QuarantineFilter;
  readonly json: boolean;
}

/** @throws Error with a sentence for the user when they are not understood */
export function parseQuarantineArguments(args: readonly string[]): QuarantineArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      all: { type: "boolean", default: false },
      reason: { type: "string" },
      "older-than": { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [word, ...numbers] = positionals;
  const action = (["list", "retry", "purge"] as const).find((name) => name === word);
  if (action === undefined) throw new Error("Say what to do: list, retry or purge.");
  const { reason, "older-than": days } = values;
  if (reason !== undefined && !quarantineReasons.includes(reason)) {
    throw new Error(`--reason must be one of ${quarantineReasons.join(", ")}.`);
  }
  if (days !== undefined && !/^\d{1,5}$/.test(days)) throw new Error("--older-than must be a number of days.");
  const wrong = numbers.find((number) => !/^[1-9]\d{0,14}$/.test(number));
  if (wrong !== undefined) throw new Error(`${JSON.stringify(wrong)} is not the number of a file in quarantine.`);
  const isAll = action === "list" || values.all;
  const isFiltered = reason !== undefined || days !== undefined;
  if (isAll === numbers.length > 0) throw new Error(`noctis quarantine ${action} takes ${takes(action)}.`);
  if (!isAll && isFiltered) throw new Error("--reason and --older-than go with --all.");
  return {
    action,
    ids: isAll ? undefined : numbers.map(Number),
    filter: { reason, olderThan: days === undefined ? undefined : new Date(Date.now() - Number(days) * 86_400_000) },
    json: values.json,
  };
}

function takes(action: QuarantineArguments["action"]): string {
  return action === "list" ? "no numbers" : "numbers of files, or --all";
}
