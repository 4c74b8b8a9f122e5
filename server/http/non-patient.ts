/** Non-Patient Instance Service (PS3.18 12): store, search and retrieve. */
import type { NonPatientCategory } from "../archive/non-patient-categories.ts";
import { parseJsonText } from "../dicom/json.ts";
import { toNativeXml } from "../dicom/xml.ts";
import { ArchiveError } from "../errors.ts";
import { negotiate } from "./media-type.ts";
import { multipartHeaders, multipartRelated } from "./multipart-writer.ts";
import type { NonPatientBulkDataParams, NonPatientParams } from "./params.ts";
import { negotiateDataSet } from "./one-data-set.ts";
import type { Reply, Request } from "./reply.ts";
import { warningHeader } from "./search.ts";
import { chooseMediaType, searchReply } from "./search-body.ts";
import { mapped, storeBody } from "./store-body.ts";
import { storeFiles } from "./store-files.ts";
import { nonPatientStoreResponse } from "./store-response.ts";
import { revalidated, strongEtag, weakEtag } from "./validators.ts";

const jsonType = "application/dicom+json";
const xmlType = "application/dicom+xml";
const octets = "application/octet-stream";

/** Makes the handler of POST /{category} and POST /{category}/{uid} (12.5), for files. */
export function nonPatientStore(category: NonPatientCategory) {
  return async (request: Request<NonPatientParams | object>): Promise<Reply> => {
    const representation = negotiateDataSet(request.accept);
    const { archive, params, urlOf } = request;
    const body = storeBody(request);
    if (body.kind !== "files") {
      throw new ArchiveError("unsupported-media-type", "Instances of no patient can be stored as application/dicom.");
    }
    const target = { category, ...("uid" in params && { sopInstanceUid: params.uid }) };
    const files = mapped(body.parts, (part) => part.body);
    const outcomes = await storeFiles(files, (file) => archive.nonPatient.store(file, target));
    const located = outcomes.map((outcome) =>
      outcome.status === "failed" ? outcome : { ...outcome, path: `${category}/${outcome.sopInstanceUid}` },
    );
    return nonPatientStoreResponse(located, representation, urlOf);
  };
}

/** Makes the handler of GET /{category} (12.6). */
export function nonPatientSearch(category: NonPatientCategory) {
  return async ({ accept, archive, query: parameters, urlOf }: Request<object>): Promise<Reply> => {
    const mediaType = chooseMediaType(accept);
    const query = archive.nonPatient.query(category, parameters);
    const { answers, more, count } = await archive.nonPatient.search(query, urlOf);
    const { limit, offset, limited } = query.paging;
    const next = new URLSearchParams(parameters);
    next.set("offset", `${offset + limit}`);
    return searchReply(each(answers), mediaType, {
      ...revalidated,
      ...warningHeader(query.warnings, more && limited, urlOf("")),
      ...(more && limit > 0 && { Link: `<${urlOf(category)}?${next.toString()}>; rel="next"` }),
      ...(count !== undefined && { "X-Total-Count": `${count}` }),
    });
  };
}

/** Makes the handler of DELETE /{category}/{uid}, which PS3.18 does not have. */
export function nonPatientRemove(category: NonPatientCategory) {
  return async ({ archive, params }: Request<NonPatientParams>): Promise<Reply> => {
    await archive.nonPatient.remove({ category, sopInstanceUid: params.uid });
    return { status: 204 };
  };
}

/** Makes the handler of GET /{category}/{uid} (12.4): the metadata in JSON or XML, or the stored file. */
export function nonPatientRetrieve(category: NonPatientCategory) {
  return async ({ accept, archive, params, urlOf }: Request<NonPatientParams>): Promise<Reply> => {
    const found = await archive.nonPatient.retrieve({ category, sopInstanceUid: params.uid });
    const { transferSyntaxUid, sha256, storedAt: lastModified } = found;
    const offers = [
      { mediaType: jsonType, multipart: false },
      { mediaType: "application/json", multipart: false },
      { mediaType: "application/dicom", multipart: false, transferSyntaxUid },
      { mediaType: "application/dicom", multipart: true, transferSyntaxUid },
      { mediaType: xmlType, multipart: true },
      { mediaType: xmlType, multipart: false },
    ] as const;
    const offer = negotiate(accept, offers);
    if (!offer) {
      const available = `${jsonType}, application/dicom; transfer-syntax=${transferSyntaxUid} and ${xmlType}`;
      throw new ArchiveError(
        "not-acceptable",
        `It is available as ${available}, the last two also as multipart/related.`,
      );
    }
    const { mediaType, multipart } = offer;
    const isFile = mediaType === "application/dicom";
    const contentType = isFile ? `${mediaType}; transfer-syntax=${transferSyntaxUid}` : mediaType;
    const headers = { "Content-Type": contentType, ...revalidated };
    if (isFile && !multipart) return { status: 200, headers, body: found, etag: strongEtag(sha256), lastModified };
    const etag = weakEtag(sha256.toString("hex"), mediaType, urlOf(""));
    const text = () => document(found.metadata(urlOf), mediaType);
    if (!multipart) return { status: 200, headers, body: text(), etag, lastModified };
    const body = isFile ? found.read() : once(Buffer.from(text()));
    const message = multipartRelated([{ contentType, body }], { type: mediaType });
    const wrapped = { ...multipartHeaders(message), ...revalidated };
    return { status: 200, headers: wrapped, body: message.body, etag, lastModified };
  };
}

/** Makes the handler of GET /{category}/{uid}/bulkdata/{path}. */
export function nonPatientBulkData(category: NonPatientCategory) {
  return async ({ accept, archive, params: { uid, path } }: Request<NonPatientBulkDataParams>): Promise<Reply> => {
    if (!negotiate(accept, [{ mediaType: octets, multipart: false }])) {
      throw new ArchiveError("not-acceptable", `Bulk data is available as ${octets}.`);
    }
    const { value, sha256, storedAt } = await archive.nonPatient.bulkData({ category, sopInstanceUid: uid }, path);
    const headers = { "Content-Type": octets, ...revalidated };
    return { status: 200, headers, body: value, etag: strongEtag(sha256, path), lastModified: storedAt };
  };
}

/** The metadata as `mediaType`; JSON is always an array (PS3.18 F.2.1). */
function document(json: string, mediaType: string): string {
  return mediaType === xmlType ? toNativeXml(parseJsonText(json)) : `[${json}]`;
}

async function* each<Item>(items: Iterable<Item>): AsyncGenerator<Item> {
  yield* items;
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes;
}
