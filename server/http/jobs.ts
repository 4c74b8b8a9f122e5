/** /api/jobs, and what is asked of peers by jobs: verification, query, retrieve, send. */
import { z } from "zod";
import type { JobRequest, WholeJob } from "../archive/jobs.ts";
import { mostAnswers } from "../archive/job-requests.ts";
import type { FailuresAnswer, JobAnswer, JobsAnswer } from "./answers-jobs.ts";
import { jobKind, jobPriority, jobState } from "./answers-jobs.ts";
import { jsonReply, nextOf } from "./json-reply.ts";
import type { PeerParams } from "./peers.ts";
import type { Reply, Request } from "./reply.ts";
import { uidsOfPath } from "./retrieve-zip.ts";
import { readJson } from "./whole-body.ts";

export const jobParams = z.object({
  job: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "is not the number of a job")
    .meta({ description: "Number of the job.", examples: ["1"] })
    .transform(Number),
});

type JobParams = z.infer<typeof jobParams>;

/** How long (minutes) faults are met with another attempt: up to a month. */
const retryMinutes = z.int().min(0).max(43_200);
const hour = 60;

const how = {
  priority: jobPriority.default("medium").describe("Jobs of a higher one go first; the peer is told it, too."),
  retryMinutes: retryMinutes
    .default(hour)
    .describe("How long, without any progress, faults that may pass are met with another attempt; 0: not at all."),
};

const resources = z
  .array(z.string().max(512))
  .min(1)
  .max(1000)
  .describe("Paths as below the root of DICOMweb, such as studies/1.2.3 or studies/1.2.3/series/4.5.6.");

/** The body that has a peer queried. */
export const queryRequest = z.strictObject({
  level: z
    .enum(["patient", "study", "series", "instance"])
    .default("study")
    .describe("Query/Retrieve Level (0008,0052)."),
  keys: z
    .record(z.string().max(64), z.string().max(1024))
    .refine((keys) => Object.keys(keys).length <= 100, "has more than 100 keys")
    .describe("Keywords or tags with the value to match; an empty one asks for the attribute to be answered."),
  limit: z.int().min(1).max(mostAnswers).default(100).describe("Answers at most."),
  priority: how.priority,
});

/** The body that has instances retrieved from a peer. */
export const retrieveRequest = z.strictObject({
  resources,
  method: z
    .enum(["auto", "get", "move"])
    .default("auto")
    .describe("By C-GET, by C-MOVE to this archive, or by C-GET and, where the peer does not offer it, by C-MOVE."),
  ...how,
});

/** The body that has instances sent to a peer. */
export const sendRequest = z.strictObject({ resources, ...how });

/** POST /api/peers/{peer}/echo */
export function echoPeer(request: Request<PeerParams>): Promise<Reply> {
  return added(request, { kind: "echo" }, { priority: "high", retryMinutes: 0 });
}

/** POST /api/peers/{peer}/query */
export async function queryPeer(request: Request<PeerParams>): Promise<Reply> {
  const { priority, ...asked } = await readJson(request, queryRequest);
  return added(request, { kind: "query", ...asked }, { priority, retryMinutes: 0 });
}

/** POST /api/peers/{peer}/retrieve */
export async function retrieveFromPeer(request: Request<PeerParams>): Promise<Reply> {
  const { method, resources: paths, ...rest } = await readJson(request, retrieveRequest);
  return added(request, { kind: "retrieve", method, resources: paths.map(uidsOfPath) }, rest);
}

/** POST /api/peers/{peer}/send */
export async function sendToPeer(request: Request<PeerParams>): Promise<Reply> {
  const { resources: paths, ...rest } = await readJson(request, sendRequest);
  return added(request, { kind: "send", resources: paths.map(uidsOfPath) }, rest);
}

/** Adds a job: 200 when it has ended in the time that the client waits for it, else 202. */
async function added(
  { archive, params, query }: Request<PeerParams>,
  asked: JobRequest,
  { priority, retryMinutes: minutes }: { readonly priority: WholeJob["priority"]; readonly retryMinutes: number },
): Promise<Reply> {
  const job = await archive.jobs.add(params.peer, asked, { priority, retrySeconds: minutes * 60 });
  const seconds = Number(query.get("wait") ?? 0);
  const answer: JobAnswer = seconds > 0 ? await archive.jobs.wait(job.id, seconds) : job;
  return jsonReply(answer.finishedAt === null ? 202 : 200, answer, { Location: `/api/jobs/${job.id}` });
}

/** GET /api/jobs */
export async function listJobs({ archive, query }: Request<object>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const states = query.getAll("state").map((state) => jobState.parse(state));
  const jobs = await archive.jobs.list({
    limit,
    before: Number(query.get("before") ?? Number.MAX_SAFE_INTEGER),
    states: states.length > 0 ? states : undefined,
    kind: jobKind.optional().parse(query.get("kind") ?? undefined),
    peer: query.get("peer") ?? undefined,
    rule: query.get("rule") ?? undefined,
  });
  const answer: JobsAnswer = { jobs, next: nextOf(jobs, limit) };
  return jsonReply(200, answer);
}

/** GET /api/jobs/{job} */
export async function getJob({ archive, params, query }: Request<JobParams>): Promise<Reply> {
  const answer: JobAnswer = await archive.jobs.wait(params.job, Number(query.get("wait") ?? 0));
  return jsonReply(200, answer);
}

/** GET /api/jobs/{job}/failures */
export async function listJobFailures({ archive, params, query }: Request<JobParams>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const failures = await archive.jobs.failures(params.job, { limit, after: Number(query.get("after") ?? 0) });
  const answer: FailuresAnswer = { failures, next: nextOf(failures, limit) };
  return jsonReply(200, answer);
}

/** POST /api/jobs/{job}/cancel */
export async function cancelJob({ archive, params }: Request<JobParams>): Promise<Reply> {
  const answer: JobAnswer = await archive.jobs.cancel(params.job);
  return jsonReply(200, answer);
}

/** POST /api/jobs/{job}/retry */
export async function retryJob({ archive, params }: Request<JobParams>): Promise<Reply> {
  const answer: JobAnswer = await archive.jobs.retry(params.job);
  return jsonReply(200, answer);
}

/** DELETE /api/jobs/{job} */
export async function removeJob({ archive, params }: Request<JobParams>): Promise<Reply> {
  await archive.jobs.remove(params.job);
  return { status: 204 };
}
