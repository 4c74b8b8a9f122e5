/** /api/quarantine: files that could not be stored for what is in them. */
import { z } from "zod";
import { type QuarantineFilter, quarantineReasons } from "../archive/quarantine.ts";
import { ArchiveError } from "../errors.ts";
import type { PurgedAnswer, QuarantineAnswer, QuarantinedAnswer, RetriedAnswer } from "./answers-quarantine.ts";
import { jsonReply, nextOf } from "./json-reply.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { Reply, Request } from "./reply.ts";
import type { QueryParameter } from "./route.ts";

export const quarantineParams = z.object({
  quarantined: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "is not the number of a file in quarantine")
    .meta({ description: "Number of the file, of the list of quarantine.", examples: ["1"] })
    .transform(Number),
});

type QuarantineParams = z.infer<typeof quarantineParams>;

/** Parameters that name files. */
export const quarantineFilter: readonly QueryParameter[] = [
  {
    name: "reason",
    meaning: "Only those refused with this code.",
    schema: z.enum(quarantineReasons, `is none of ${quarantineReasons.join(", ")}`),
    example: "not-dicom",
  },
  { name: "origin", meaning: "Only those that came through this door.", schema: z.string(), example: "dicomweb" },
  {
    name: "olderThan",
    meaning: "Only those that came last before that moment (RFC 3339).",
    schema: z.iso.datetime({ offset: true, error: "is not a moment such as 2026-01-31T12:00:00Z" }),
    example: "2026-01-31T12:00:00Z",
  },
];

/** Parameters of the list. */
export const quarantineQuery: readonly QueryParameter[] = [
  { name: "limit", meaning: "Files to answer at most: 100 unless given.", schema: pageLimit, example: "100" },
  { name: "before", meaning: "Only files with a lower id: the `next` of the page before.", schema: position },
  ...quarantineFilter,
];

/** GET /api/quarantine */
export async function listQuarantine({ archive, query }: Request<object>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const before = Number(query.get("before") ?? Number.MAX_SAFE_INTEGER);
  const files = await archive.quarantine.list({ ...filterOf(query), limit, before });
  const answer: QuarantineAnswer = { files, next: nextOf(files, limit) };
  return jsonReply(200, answer);
}

/** GET /api/quarantine/{quarantined} */
export async function getQuarantined({ archive, params }: Request<QuarantineParams>): Promise<Reply> {
  const answer: QuarantinedAnswer = await archive.quarantine.find(params.quarantined);
  return jsonReply(200, answer);
}

/** GET of the bytes as they came: a download, which no browser shows or runs. */
export async function getQuarantinedContent({ archive, params }: Request<QuarantineParams>): Promise<Reply> {
  const { sha256, ...body } = await archive.quarantine.content(params.quarantined);
  const headers = {
    "Content-Type": "application/octet-stream",
    "Content-Disposition": `attachment; filename="quarantine-${params.quarantined}.dcm"`,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  };
  return { status: 200, headers, body, etag: `"${sha256}"` };
}

/** POST /api/quarantine/{quarantined}/retry; what cannot be stored now either is a problem document. */
export async function retryQuarantined({ archive, params }: Request<QuarantineParams>): Promise<Reply> {
  const { status, sopClassUid, sopInstanceUid, studyInstanceUid, seriesInstanceUid, warnings } =
    await archive.quarantine.retry(params.quarantined);
  const uids = { sopClassUid, sopInstanceUid, studyInstanceUid, seriesInstanceUid };
  const answer: RetriedAnswer = { status, ...uids, warnings };
  return jsonReply(200, answer);
}

/** DELETE /api/quarantine/{quarantined} */
export async function purgeQuarantined({ archive, params }: Request<QuarantineParams>): Promise<Reply> {
  await archive.quarantine.purge(params.quarantined);
  return { status: 204 };
}

/** DELETE /api/quarantine: every file that the query names. A parameter that would be passed over would purge more. */
export async function purgeQuarantine({ archive, query }: Request<object>): Promise<Reply> {
  const names = quarantineFilter.map(({ name }) => name);
  const unknown = [...query.keys()].find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new ArchiveError("invalid-query", `${unknown} is none of what names files to purge: ${names.join(", ")}.`);
  }
  const answer: PurgedAnswer = { purged: await archive.quarantine.purgeAll(filterOf(query)) };
  return jsonReply(200, answer);
}

function filterOf(query: URLSearchParams): QuarantineFilter {
  const olderThan = query.get("olderThan");
  return {
    reason: query.get("reason") ?? undefined,
    origin: query.get("origin") ?? undefined,
    olderThan: olderThan === null ? undefined : new Date(olderThan),
  };
}
