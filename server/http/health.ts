/** Health: alive while the process answers, ready while the archive can store and find. */
import type { Reply, Request } from "./reply.ts";

const headers = { "Content-Type": "application/json", "Cache-Control": "no-store" };

/** The process answers. */
export async function live(): Promise<Reply> {
  return { status: 200, headers, body: '{"status":"live"}' };
}

/** The archive can store and find. @throws ArchiveError `storage-unavailable`, `storage-full`, `database-unavailable` */
export async function ready({ archive }: Request<unknown>): Promise<Reply> {
  await archive.check();
  return { status: 200, headers, body: '{"status":"ready"}' };
}
