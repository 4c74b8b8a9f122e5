/** Storage Commitment Service (PS3.18 13): requests a commitment, and checks for its result. */
import { z } from "zod";
import type { CommitmentResult } from "../archive/commitment.ts";
import { parseNativeXml } from "../dicom/xml-reader.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { parseCommitmentRequest } from "../archive/commitment-request.ts";
import { commitmentDocument } from "./commitment-response.ts";
import { parseMediaType } from "./media-type.ts";
import { negotiateDataSet, type Representation, writtenAs } from "./one-data-set.ts";
import type { TransactionParams } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson, readText } from "./whole-body.ts";

/** Most bytes of a request: some 100,000 references. */
const largestRequest = 32 * 2 ** 20;

/** Seconds after which a client that was told to wait should ask again. */
const retryAfter = "5";

/** POST /commitment-requests/{transaction} (13.4): 200 with the result, or 202 when it takes a while. */
export async function requestCommitment(request: Request<TransactionParams>): Promise<Reply> {
  const representation = negotiateDataSet(request.accept);
  const asked = parseCommitmentRequest(request.params.transaction, await readDocument(request));
  return reply(await request.archive.requestCommitment(asked), representation);
}

/** GET /commitment-requests/{transaction} (13.5): 200 with the result, or 202 while it is not there. */
export async function checkCommitment(request: Request<TransactionParams>): Promise<Reply> {
  const representation = negotiateDataSet(request.accept);
  return reply(await request.archive.checkCommitment(request.params.transaction), representation);
}

async function readDocument(request: Request<TransactionParams>): Promise<unknown> {
  const { type } = parseMediaType(request.header("content-type") ?? "") ?? {};
  if (type !== "application/dicom+xml") return readJson(request, z.unknown(), largestRequest);
  const text = await readText(request.body, largestRequest);
  try {
    return parseNativeXml(text);
  } catch (cause) {
    throw new ArchiveError("invalid-request", toArchiveError(cause).message, { cause });
  }
}

function reply(result: CommitmentResult | undefined, representation: Representation): Reply {
  if (!result) return { status: 202, headers: { "Retry-After": retryAfter } };
  const { headers, body } = writtenAs(commitmentDocument(result), representation);
  return { status: 200, headers: { ...headers, "Cache-Control": "no-store", Vary: "Accept" }, body };
}
