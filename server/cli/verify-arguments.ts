/** The arguments of `noctis verify`, checked. */
import { parseArgs } from "node:util";
import type { OrphanRepair } from "../archive/verify.ts";
import { parseUid, type Uid } from "../dicom/uid.ts";

/** What to verify, and how. */
export interface VerifyArguments {
  readonly study: Uid | undefined;
  /** Share of the objects whose bytes are read, from 0 to 1. */
  readonly sample: number;
  readonly deep: boolean;
  readonly repair: OrphanRepair;
  readonly graceHours: number;
  readonly restart: boolean;
  readonly parallel: number;
  readonly json: boolean;
}

const repairs: readonly OrphanRepair[] = ["index", "remove", "remove-any"];

/** @throws Error with a sentence for the user when they are not understood */
export function parseVerifyArguments(args: readonly string[]): VerifyArguments {
  const { values } = parseArgs({
    // An option with a value that may be left out.
    args: args.map((word) => (word === "--repair" ? "--repair=index" : word)),
    options: {
      study: { type: "string" },
      quick: { type: "boolean", default: false },
      sample: { type: "string" },
      deep: { type: "boolean", default: false },
      repair: { type: "string" },
      grace: { type: "string", default: "24" },
      restart: { type: "boolean", default: false },
      parallel: { type: "string", default: "4" },
      json: { type: "boolean", default: false },
    },
  });
  const { study, quick, sample, deep, restart, json } = values;
  if (quick && (sample !== undefined || deep))
    throw new Error("--quick reads no object: leave out --sample and --deep.");
  const repair = values.repair === undefined ? "report" : repairs.find((how) => how === values.repair);
  if (repair === undefined) throw new Error("--repair must be index, remove or remove-any.");
  if (study !== undefined && (repair !== "report" || sample !== undefined || restart)) {
    throw new Error("--study looks at one study as a whole: leave out --repair, --sample and --restart.");
  }
  return {
    study: study === undefined ? undefined : parseUid(study, "--study"),
    sample: quick ? 0 : shareOf(sample ?? "100"),
    deep,
    repair,
    graceHours: numberOf(values.grace, 0, 8760, "--grace must be a number of hours from 0 to 8760."),
    restart,
    parallel: numberOf(values.parallel, 1, 64, "--parallel must be a number from 1 to 64."),
    json,
  };
}

function shareOf(text: string): number {
  const percent = text.replace(/%$/, "");
  if (!/^\d{1,3}(\.\d+)?$/.test(percent) || Number(percent) <= 0 || Number(percent) > 100) {
    throw new Error("--sample must be a percentage above 0, of at most 100.");
  }
  return Number(percent) / 100;
}

function numberOf(text: string, from: number, to: number, message: string): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < from || number > to) throw new Error(message);
  return number;
}
