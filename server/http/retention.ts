/** /api/retention: rules by which studies are removed, their dry runs, and what their runs did. */
import { z } from "zod";
import type { DryRun, RuleRequest } from "../archive/retention.ts";
import type { DryRunAnswer, RuleAnswer, RulesAnswer, RunRemovalsAnswer, RunsAnswer } from "./answers-retention.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

const number = (what: string) =>
  z
    .string()
    .regex(/^[1-9]\d{0,14}$/, `is not the number of a ${what}`)
    .meta({ description: `Number of the ${what}.`, examples: ["1"] })
    .transform(Number);

export const ruleParams = z.object({ rule: number("rule") });
export const runParams = z.object({ run: number("run") });

type RuleParams = z.infer<typeof ruleParams>;
type RunParams = z.infer<typeof runParams>;

const days = z.int().min(1).max(36_500);
const amount = z.number().positive("is not above 0").max(1e9);

/** One line of text without control characters. */
const line = z
  .string()
  .trim()
  .max(4096)
  .regex(/^\P{Cc}*$/u, "holds a control character");

/** The body that adds or changes a rule. */
export const ruleRequest = z.strictObject({
  name: line.min(1, "is empty").max(128).describe("A name for people, which no other rule has."),
  match: line
    .default("")
    .describe(
      "Query of a search, as in its URL: which studies the rule means; with attributes of series, those of which " +
        "every series has them. ModalitiesInStudy finds studies with other modalities, too; Modality does not.",
    ),
  all: z.boolean().default(false).describe("True when an empty match is meant: every study."),
  ageBy: z
    .enum(["StudyDate", "stored"])
    .describe(
      "By what the age of a study is told: its Study Date, or, without one, and with stored, when it last got or lost " +
        "an instance.",
    ),
  olderThanDays: days.describe("Days that a study must be old, more than."),
  settledDays: days
    .default(7)
    .describe("Days since the study last got or lost an instance, more than: what has just come, or come back, stays."),
  space: z
    .strictObject({
      unit: z.enum(["percent", "gigabytes"]).describe("Of what is said; gigabytes: of 1,000,000,000 bytes."),
      below: amount.describe("While less is free, the oldest studies are removed, for good."),
      until: amount.describe("Until so much is free."),
    })
    .refine(({ below, until }) => until >= below, { path: ["until"], message: "is less than below" })
    .refine(({ unit, until }) => unit !== "percent" || until < 100, { path: ["until"], message: "is not below 100" })
    .nullable()
    .default(null)
    .describe("Null or absent: studies are removed as soon as they are old enough."),
});

/** The body that enables a rule. */
export const enableRequest = z.strictObject({
  token: z.uuid("is not the token of a dry run").describe("Of a dry run of the rule as it stands."),
});

/** POST /api/retention/rules: the rule is not enabled. */
export async function addRule(request: Request<object>): Promise<Reply> {
  const definition: RuleRequest = await readJson(request, ruleRequest);
  const rule: RuleAnswer = await request.archive.retention.add(definition);
  return jsonReply(201, rule, { Location: `/api/retention/rules/${rule.id}` });
}

/** GET /api/retention/rules */
export async function listRules({ archive }: Request<object>): Promise<Reply> {
  const answer: RulesAnswer = { rules: await archive.retention.list() };
  return jsonReply(200, answer);
}

/** GET /api/retention/rules/{rule} */
export async function getRule({ archive, params }: Request<RuleParams>): Promise<Reply> {
  const answer: RuleAnswer = await archive.retention.find(params.rule);
  return jsonReply(200, answer);
}

/** PUT /api/retention/rules/{rule}: the rule is disabled by that. */
export async function changeRule(request: Request<RuleParams>): Promise<Reply> {
  const definition: RuleRequest = await readJson(request, ruleRequest);
  const answer: RuleAnswer = await request.archive.retention.change(request.params.rule, definition);
  return jsonReply(200, answer);
}

/** DELETE /api/retention/rules/{rule} */
export async function removeRule({ archive, params }: Request<RuleParams>): Promise<Reply> {
  await archive.retention.remove(params.rule);
  return { status: 204 };
}

/** POST /api/retention/rules/{rule}/dry-run: what it would remove now; nothing is removed. */
export async function dryRunRule({ archive, params, query }: Request<RuleParams>): Promise<Reply> {
  const answer = dryRunAnswerOf(await archive.retention.dryRun(params.rule, Number(query.get("limit") ?? 100)));
  return jsonReply(200, answer);
}

function dryRunAnswerOf({ token, rule, due, removed, held, studies, heldStudies, space }: DryRun): DryRunAnswer {
  return { token, rule, due, removed, held, studies, heldStudies, space };
}

/** POST /api/retention/rules/{rule}/enable */
export async function enableRule(request: Request<RuleParams>): Promise<Reply> {
  const { token } = await readJson(request, enableRequest);
  const answer: RuleAnswer = await request.archive.retention.enable(request.params.rule, token);
  return jsonReply(200, answer);
}

/** POST /api/retention/rules/{rule}/disable */
export async function disableRule({ archive, params }: Request<RuleParams>): Promise<Reply> {
  const answer: RuleAnswer = await archive.retention.disable(params.rule);
  return jsonReply(200, answer);
}

function pageOf(query: URLSearchParams) {
  return {
    limit: Number(query.get("limit") ?? 100),
    before: Number(query.get("before") ?? Number.MAX_SAFE_INTEGER),
  };
}

/** GET /api/retention/runs */
export async function listRuns({ archive, query }: Request<object>): Promise<Reply> {
  const answer: RunsAnswer = { runs: await archive.retention.runs(pageOf(query)) };
  return jsonReply(200, answer);
}

/** GET /api/retention/runs/{run}/removals */
export async function listRunRemovals({ archive, params, query }: Request<RunParams>): Promise<Reply> {
  const answer: RunRemovalsAnswer = { removals: await archive.retention.runRemovals(params.run, pageOf(query)) };
  return jsonReply(200, answer);
}
