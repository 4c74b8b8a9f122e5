/** Query tags at /api/query-tags: attributes that are made searchable, their progress, their faults. */
import { z } from "zod";
import type { QueryTagAnswer } from "../archive/query-tags.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

/** Tags in one request: as many as there may be. */
const mostInRequest = 128;

/** One tag, as a request names it. */
export const tagRequest = z.strictObject({
  path: z.string("is a keyword or a tag").min(1, "is empty").max(256, "is too long"),
  vr: z.string().optional(),
  privateCreator: z.string().optional(),
  level: z.enum(["study", "series", "instance"], "is study, series or instance"),
});

/** One object stands for a list of one. */
const tagRequests = z.preprocess(
  (body) => (Array.isArray(body) ? body : [body]),
  z.array(tagRequest).min(1, "names no tag").max(mostInRequest, `names more than ${mostInRequest} tags`),
);

/** What may stand behind /api/query-tags/. */
export const queryTagParams = z.object({
  tag: z
    .string()
    .max(256, "is too long")
    .meta({ description: "Keyword or tag of the attribute.", examples: ["00181030"] }),
});
type QueryTagParams = z.infer<typeof queryTagParams>;

/** Errors told in one answer by default, and at most. */
const errorsByDefault = 100;
const mostErrors = 1000;

/** POST: adds tags; the answer tells them, and the index is made in the background. */
export async function addQueryTags(request: Request<unknown>): Promise<Reply> {
  const added = await request.archive.queryTags.add(await readJson(request, tagRequests));
  return json(202, added.map(shown));
}

/** GET: every tag. */
export async function listQueryTags({ archive }: Request<unknown>): Promise<Reply> {
  return json(200, (await archive.queryTags.list()).map(shown));
}

/** GET of one tag. */
export async function getQueryTag(request: Request<QueryTagParams>): Promise<Reply> {
  return json(200, shown(await request.archive.queryTags.find(nameOf(request))));
}

/** GET of the instances whose value could not be indexed. */
export async function listTagErrors(request: Request<QueryTagParams>): Promise<Reply> {
  const { archive, query } = request;
  const limit = Math.min(Number(query.get("limit") ?? errorsByDefault), mostErrors);
  const offset = Math.min(Number(query.get("offset") ?? 0), Number.MAX_SAFE_INTEGER);
  return json(200, await archive.queryTags.errors(nameOf(request), { limit, offset }));
}

/** DELETE: the tag is searched no more; its values go in the background. */
export async function removeQueryTag(request: Request<QueryTagParams>): Promise<Reply> {
  await request.archive.queryTags.remove(nameOf(request));
  return { status: 204 };
}

function nameOf({ params, query }: Request<QueryTagParams>) {
  return { path: params.tag, privateCreator: query.get("privateCreator") ?? undefined };
}

function shown(tag: QueryTagAnswer): object {
  const { path, keyword, vr, privateCreator, level, status, done, total, errors } = tag;
  return {
    path,
    ...(keyword !== undefined && { keyword }),
    vr,
    ...(privateCreator !== "" && { privateCreator }),
    level,
    status,
    progress: { done, total, percent: percentOf(tag) },
    errors,
    createdAt: tag.createdAt,
    startedAt: tag.startedAt,
    finishedAt: tag.finishedAt,
  };
}

function percentOf({ status, done, total }: QueryTagAnswer): number {
  if (status === "ready") return 100;
  // Instances that are removed meanwhile are not done, and new ones need not be.
  return total === null || total === 0 ? 0 : Math.min(99, Math.floor((100 * done) / total));
}

function json(status: number, value: unknown): Reply {
  return {
    status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store" },
    body: JSON.stringify(value),
  };
}
