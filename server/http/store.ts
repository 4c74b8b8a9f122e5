/** Store transaction (PS3.18 10.5): what the body holds goes to the archive, and its outcomes become the response. */
import type { StoreOutcome } from "../archive/store.ts";
import type { StudyParams } from "./params.ts";
import { negotiateDataSet } from "./one-data-set.ts";
import type { Reply, Request } from "./reply.ts";
import { mapped, storeBody } from "./store-body.ts";
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
  if (body.kind === "files") {
    // Files are stored as they come, each before the next one is read.
    let part = 0;
    let name: string | undefined;
    const files = mapped(body.parts, (file) => {
      ({ name } = file);
      return file.body;
    });
    return storeFiles(files, (file) => archive.store(file, { ...options, part: (part += 1), name }));
  }
  const base = urlOf(addressed === undefined ? "studies" : `studies/${addressed}`);
  return archive.storeParts(body.parts, { ...options, base });
}
