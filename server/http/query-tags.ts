/** Query tags at /api/query-tags: attributes that are made searchable, their progress, their faults. */
import { z } from "zod";
import type { QueryTagAnswer as StoredTag } from "../archive/query-tags.ts";
import type { QueryTagAnswer, QueryTagsAnswer, TagErrorsAnswer } from "./answers.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

/** Tags in one request: as many as there may be. */
const mostInRequest = 128;

/** One tag, as a request names it. */
export const tagRequest = z.strictObject({
  path: z
    .string()
    .min(1, "is empty")
    .max(256, "is too long")
    .describe("Keyword or tag of the attribute; in sequences joined by dots."),
  vr: z.string().optional().describe("Value Representation; needed where PS3.6 has none: for private tags."),
  privateCreator: z.string().optional().describe("Private Creator; needed for private tags."),
  level: z.enum(["study", "series", "instance"]).describe("Level at which, and below which, it is searched."),
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
  return tagsReply(202, added);
}

/** GET: every tag. */
export async function listQueryTags({ archive }: Request<unknown>): Promise<Reply> {
  return tagsReply(200, await archive.queryTags.list());
}

/** GET of one tag. */
export async function getQueryTag(request: Request<QueryTagParams>): Promise<Reply> {
  return jsonReply(200, shown(await request.archive.queryTags.find(nameOf(request))));
}

/** GET of the instances whose value could not be indexed. */
export async function listTagErrors(request: Request<QueryTagParams>): Promise<Reply> {
  const { archive, query } = request;
  const limit = Math.min(Number(query.get("limit") ?? errorsByDefault), mostErrors);
  const offset = Math.min(Number(query.get("offset") ?? 0), Number.MAX_SAFE_INTEGER);
  const answer: TagErrorsAnswer = await archive.queryTags.errors(nameOf(request), { limit, offset });
  return jsonReply(200, answer);
}

/** DELETE: the tag is searched no more; its values go in the background. */
export async function removeQueryTag(request: Request<QueryTagParams>): Promise<Reply> {
  await request.archive.queryTags.remove(nameOf(request));
  return { status: 204 };
}

function nameOf({ params, query }: Request<QueryTagParams>) {
  return { path: params.tag, privateCreator: query.get("privateCreator") ?? undefined };
}

function tagsReply(status: number, tags: readonly StoredTag[]): Reply {
  const answer: QueryTagsAnswer = tags.map(shown);
  return jsonReply(status, answer);
}

function shown(tag: StoredTag): QueryTagAnswer {
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

function percentOf({ status, done, total }: StoredTag): number {
  if (status === "ready") return 100;
  // Instances that are removed meanwhile are not done, and new ones need not be.
  return total === null || total === 0 ? 0 : Math.min(99, Math.floor((100 * done) / total));
}
