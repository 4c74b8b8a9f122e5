/** URI Service (PS3.18 9): one instance by query parameters, as stored or rendered. */
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, parseAccept } from "./media-type.ts";
import type { InstanceParams } from "./params.ts";
import type { Reply, Request } from "./reply.ts";
import { retrieveInstances } from "./retrieve-instances.ts";
import { renderedReply } from "./retrieve-rendered.ts";
import { renderingParameters, uriRendering, wadoUriTarget } from "./wado-uri-query.ts";

const dicomType = "application/dicom";

/** GET /wado. An instance goes out as it is stored when transferSyntax does not ask for more. */
export async function wadoUri(request: Request<object>): Promise<Reply> {
  const { query } = request;
  if (query.has("anonymize")) {
    throw new ArchiveError("invalid-query", "anonymize is not supported: the instance would be sent with its patient.");
  }
  const contentType = query.get("contentType")?.replaceAll("dicom ", "dicom+");
  const accept = contentType === undefined ? request.accept : parseAccept(contentType);
  const addressed = { ...request, params: paramsOf(query), accept };
  if (accept[0]?.mediaType === dicomType) return stored(addressed);
  try {
    return await rendered(addressed);
  } catch (error) {
    const isRefused = error instanceof ArchiveError && error.answer.httpStatus === 406;
    if (!isRefused || !accept.some(({ mediaType, q }) => mediaType === dicomType && q > 0)) throw error;
    return stored(addressed);
  }
}

/** @throws ArchiveError `invalid-query`, naming the parameter */
function paramsOf(query: URLSearchParams): InstanceParams {
  const target = wadoUriTarget.safeParse(Object.fromEntries(query));
  if (target.success) {
    return { study: target.data.studyUID, series: target.data.seriesUID, instance: target.data.objectUID };
  }
  const [issue] = target.error.issues;
  const name = issue?.path.join(".") ?? "";
  throw new ArchiveError("invalid-query", query.has(name) ? `${name} ${issue?.message}.` : `${name} is missing.`);
}

async function stored(request: Request<InstanceParams>): Promise<Reply> {
  const { query } = request;
  const stray = renderingParameters.find(({ name }) => query.has(name));
  if (stray) {
    throw new ArchiveError("invalid-query", `${stray.name} asks for a rendered image, and not for ${dicomType}.`);
  }
  const transferSyntaxUid = query.get("transferSyntax") ?? undefined;
  const range: AcceptRange = { mediaType: dicomType, multipart: false, transferSyntaxUid, q: 1 };
  return retrieveInstances({ ...request, accept: [range] });
}

/** PS3.18 9.5.2.1: a frame that the instance does not have is a fault of the parameter. */
function refuseFrame(error: unknown): never {
  if (!(error instanceof ArchiveError) || error.code !== "no-such-frame") throw error;
  throw new ArchiveError("invalid-query", `frameNumber names no frame: ${error.message}`, { cause: error });
}

async function rendered(request: Request<InstanceParams>): Promise<Reply> {
  const { frame, options } = uriRendering(request.query);
  const single = { ...request, accept: request.accept.filter(({ multipart }) => multipart !== true) };
  if (frame !== undefined) return renderedReply(single, [frame], options).catch(refuseFrame);
  const { params, archive } = request;
  const uids = { studyInstanceUid: params.study, seriesInstanceUid: params.series, sopInstanceUid: params.instance };
  // One answer has one image: of several frames the first.
  const { single: isOne } = await archive.rendered(uids, undefined, options);
  return renderedReply(single, isOne ? undefined : [1], options);
}
