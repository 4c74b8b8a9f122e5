/** Storage Commitment Service (PS3.18 13): requests a commitment, and checks for its result. */
import { z } from "zod";
import type { CommitmentResult } from "../archive/commitment.ts";
import { parseCommitmentRequest } from "./commitment-request.ts";
import { commitmentDocument } from "./commitment-response.ts";
import { requireJson } from "./negotiate-json.ts";
import type { TransactionParams } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

/** Most bytes of a request: some 100,000 references. */
const largestRequest = 32 * 2 ** 20;

/** Seconds after which a client that was told to wait should ask again. */
const retryAfter = "5";

/** POST /commitment-requests/{transaction} (13.4): 200 with the result, or 202 when it takes a while. */
export async function requestCommitment(request: Request<TransactionParams>): Promise<Reply> {
  const contentType = requireJson(request.accept);
  const document = await readJson(request, z.unknown(), largestRequest);
  const asked = parseCommitmentRequest(request.params.transaction, document);
  return reply(await request.archive.requestCommitment(asked), contentType);
}

/** GET /commitment-requests/{transaction} (13.5): 200 with the result, or 202 while it is not there. */
export async function checkCommitment(request: Request<TransactionParams>): Promise<Reply> {
  const contentType = requireJson(request.accept);
  return reply(await request.archive.checkCommitment(request.params.transaction), contentType);
}

function reply(result: CommitmentResult | undefined, contentType: string): Reply {
  if (!result) return { status: 202, headers: { "Retry-After": retryAfter } };
  const headers = { "Content-Type": contentType, "Cache-Control": "no-store", Vary: "Accept" };
  return { status: 200, headers, body: JSON.stringify(commitmentDocument(result)) };
}
