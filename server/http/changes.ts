/** GET /api/changes: the feed of what happened to instances. */
import type { ChangesAnswer } from "./answers.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";

/** The changes after `since`; with `wait`, answered when there is one, or when the time is over. */
export async function readChanges({ archive, query, body }: Request<object>): Promise<Reply> {
  const since = query.get("since") ?? "0";
  const request = {
    since: since === "latest" ? ("latest" as const) : Number(since),
    limit: Number(query.get("limit") ?? 100),
    wait: Number(query.get("wait") ?? 0),
  };
  // A client that has gone away is not waited for.
  const gone = new AbortController();
  body.once("close", () => gone.abort());
  const page: ChangesAnswer = await archive.changes({ ...request, signal: gone.signal });
  return jsonReply(200, page);
}
