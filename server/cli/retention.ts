/** `noctis retention`: what the rules of retention would remove now, and, with --apply, its removal. */
import { parseArgs } from "node:util";
import type { Archive } from "../archive/archive.ts";
import type { DryRun, RunOutcome } from "../archive/retention.ts";
import { amount, studies } from "./backup-words.ts";
import type { Command } from "./command.ts";
import { sentence } from "./import-arguments.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis retention [options]

Runs the rules of retention dry: prints which studies each would remove now, why, how large they are, and which of them a
hold protects. Nothing is removed. A server may run meanwhile, or not. Rules are made, and enabled by the token that a dry
run prints, at /api/retention/rules.

Options:
  --rule NUMBER   only this rule
  --limit N       studies to print of each rule, 1 to 1000 (20)
  --apply         run all rules that are enabled now, instead: studies are removed
  --json          print one JSON document instead of text
  --help          show this text

Exit code: 0 when all went well, 1 when a rule met a fault, 2 when the arguments are not understood.`;

interface RetentionArguments {
  readonly rule: number | undefined;
  readonly limit: number;
  readonly apply: boolean;
  readonly json: boolean;
}

/** The subcommand. */
export const retentionCommand: Command = {
  name: "retention",
  summary: "see what the rules of retention would remove, or remove it",
  usage,
  async run(args) {
    let parsed: RetentionArguments;
    try {
      parsed = parse(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    return withArchive(({ archive }, signal) => (parsed.apply ? apply(archive, parsed, signal) : dry(archive, parsed)));
  },
};

/** @throws Error with a sentence for the user when they are not understood */
function parse(args: readonly string[]): RetentionArguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rule: { type: "string" },
      limit: { type: "string", default: "20" },
      apply: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const { rule, limit, apply: isApplied, json } = values;
  if (rule !== undefined && !/^[1-9]\d{0,14}$/.test(rule)) throw new Error("--rule must be the number of a rule.");
  if (!/^([1-9]\d{0,2}|1000)$/.test(limit)) throw new Error("--limit must be a whole number from 1 to 1000.");
  if (isApplied && rule !== undefined) throw new Error("--apply runs every rule that is enabled: leave --rule out.");
  return { rule: rule === undefined ? undefined : Number(rule), limit: Number(limit), apply: isApplied, json };
}

async function dry({ retention }: Archive, { rule, limit, json }: RetentionArguments): Promise<number> {
  const ids = rule === undefined ? (await retention.list()).map(({ id }) => id) : [rule];
  const runs: DryRun[] = [];
  for (const id of ids) runs.push(await retention.dryRun(id, limit));
  if (json) console.log(JSON.stringify({ rules: runs.map(plain) }, null, 2));
  else console.log(runs.length === 0 ? "There are no rules of retention." : runs.map(textOf).join("\n\n"));
  return 0;
}

function plain({ rule, token, due, removed, held, studies: listed, heldStudies, space }: DryRun) {
  return { rule, token, due, removed, held, studies: listed, heldStudies, space };
}

function textOf({ rule, token, due, removed, held, studies: listed, heldStudies, space }: DryRun): string {
  const state = rule.enabled ? "enabled" : `disabled${rule.stopped === null ? "" : `: ${rule.stopped}`}`;
  const room =
    space &&
    `  Free: ${amount(space.freeBytes)} of ${amount(space.totalBytes)}; to be freed: ${amount(space.needBytes)}.`;
  return [
    `Rule ${rule.id} (${rule.name}), revision ${rule.revision}, ${state}`,
    `  Would remove ${studies(removed.studies)}, ${amount(removed.bytes)}; due: ${studies(due.studies)}; held: ${held.studies}.`,
    ...(room === null ? [] : [room]),
    ...listed.map(({ studyInstanceUid, bytes, why }) => `  - ${studyInstanceUid}, ${amount(bytes)}: ${why}`),
    ...(listed.length < removed.studies ? [`  ... and ${removed.studies - listed.length} more`] : []),
    ...heldStudies.map(({ studyInstanceUid, hold }) => `  held ${studyInstanceUid}: ${hold}`),
    ...(rule.enabled
      ? []
      : [`  Enable it within 24 hours: POST /api/retention/rules/${rule.id}/enable {"token":"${token}"}`]),
  ].join("\n");
}

async function apply({ retention }: Archive, { json }: RetentionArguments, signal: AbortSignal): Promise<number> {
  const outcomes = await retention.run({ signal, now: true });
  if (!outcomes) {
    console.error("Another run of retention is under way.");
    return 1;
  }
  if (json) console.log(JSON.stringify({ rules: outcomes }, null, 2));
  else console.log(outcomes.length === 0 ? "No rule of retention is enabled." : outcomes.map(lineOf).join("\n"));
  return outcomes.some(({ fault }) => fault !== null) ? 1 : 0;
}

function lineOf({ rule, studies: removed, bytes, held, changed, fault }: RunOutcome): string {
  const done = `${rule}: removed ${studies(removed)}, ${amount(bytes)}; holds protect ${held}, changed meanwhile ${changed}.`;
  return fault === null ? done : `${done} ${fault}`;
}
