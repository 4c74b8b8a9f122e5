/** Removal: DELETE of studies, series and instances; the list of what was removed; restore and purge. */
import { z } from "zod";
import type { Removal } from "../archive/remove.ts";
import type { RemovalsAnswer, RestoredAnswer } from "./answers.ts";
import { jsonReply } from "./json-reply.ts";
import { type InstanceParams, type SeriesParams, type StudyParams, uidsOf } from "./params.ts";
import type { Reply, Request } from "./reply.ts";

export const removalParams = z.object({
  removal: z
    .string()
    .regex(/^[1-9]\d{0,14}$/, "is not the number of a removal")
    .meta({ description: "Number of the removal, of the list of removals.", examples: ["1"] })
    .transform(Number),
});

type RemovalParams = z.infer<typeof removalParams>;

/** DELETE of a study, a series or an instance: it is gone for every request that follows, and can be restored. */
export async function removeResource(request: Request<StudyParams | SeriesParams | InstanceParams>): Promise<Reply> {
  await request.archive.remove(uidsOf(request.params), "dicomweb");
  return { status: 204 };
}

/** GET /api/removed: what can be restored, newest first. */
export async function listRemovals({ archive, query }: Request<object>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const before = Number(query.get("before") ?? Number.MAX_SAFE_INTEGER);
  const removals = await archive.removals({ limit, before });
  const answer: RemovalsAnswer = { removals: removals.map(removalJson) };
  return jsonReply(200, answer);
}

/** POST /api/removed/{removal}/restore */
export async function restoreRemoval({ archive, params, query }: Request<RemovalParams>): Promise<Reply> {
  const otherPatient = query.get("otherPatient") === "true";
  const answer: RestoredAnswer = await archive.restore(params.removal, { origin: "api", otherPatient });
  return jsonReply(200, answer);
}

/** DELETE /api/removed/{removal}: forgets it now. */
export async function purgeRemoval({ archive, params }: Request<RemovalParams>): Promise<Reply> {
  await archive.purge(params.removal);
  return { status: 204 };
}

function removalJson({ seriesInstanceUid, sopInstanceUid, ...removal }: Removal): RemovalsAnswer["removals"][number] {
  return {
    ...removal,
    ...(seriesInstanceUid !== null && { seriesInstanceUid }),
    ...(sopInstanceUid !== null && { sopInstanceUid }),
  };
}
