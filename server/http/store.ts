/** Store transaction (PS3.18 10.5): what the body holds goes to the archive, and its outcomes become the response. */
import type { StoreOutcome } from "../archive/store.ts";
import type { StudyParams } from "./params.ts";
import { negotiateDataSet } from "./one-data-set.ts";
import type { Reply, Request } from "./reply.ts";
import { storeBody } from "./store-body.ts";
import { storeFiles } from "./store-files.ts";
import { storeResponse } from "./store-response.ts";

/** POST /studies and POST /studies/{study}. */
export async function storeInstances(request: Request<StudyParams | object>): Promise<Reply> {
  const representation = negotiateDataSet(request.accept);
  return storeResponse(await outcomesOf(request), representation, request.urlOf);
}

function outcomesOf(request: Request<StudyParams | object>): Promise<StoreOutcome[]> {
  const { params, archive, urlOf } = request;
  const addressed = "study" in params ? params.study : undefined;
  const options = { origin: "dicomweb", ...(addressed !== undefined && { studyInstanceUid: addressed }) };
  const body = storeBody(request);
  if (body.kind === "files") return storeFiles(body.parts, (file) => archive.store(file, options));
  const base = urlOf(addressed === undefined ? "studies" : `studies/${addressed}`);
  return archive.storeParts(body.parts, { ...options, base });
}
