/** Search transaction (PS3.18 10.6): studies, series and instances at every resource path. */
import type { SearchScope } from "../archive/query.ts";
import type { Reply, Request } from "./reply.ts";
import { chooseMediaType, searchReply } from "./search-body.ts";
import { revalidated } from "./validators.ts";

/** PS3.18 8.3.4.4: a limit that the client did not set. */
const tooMany =
  "The number of results exceeded the maximum supported by the server. Additional results can be requested.";

/** Characters of a Link header: clients take 16 KiB of headers in all, and fail on more. */
const longestLink = 8000;
const noLink = "The address of the additional results is too long for a Link header: ask for them by offset.";

/** Warnings in one header: clients and proxies limit its length. */
const mostWarnings = 10;

/** The last part of the path of a search. */
const resources = { patient: "patients", study: "studies", series: "series", instance: "instances" } as const;

/** Makes the handler of one search resource. */
export function searchHandler<Params>(scopeOf: (params: Params) => SearchScope) {
  return async (request: Request<Params>): Promise<Reply> => {
    const mediaType = chooseMediaType(request.accept);
    const scope = scopeOf(request.params);
    const query = await request.archive.query(scope, request.query);
    const { answers, cursor, count } = await request.archive.search(query, request.urlOf);
    const isCut = cursor !== undefined && query.paging.limited;
    const link = cursor === undefined ? "" : linkToNext(scope, request, cursor);
    const isLinked = link.length <= longestLink;
    return searchReply(answers, mediaType, {
      ...revalidated,
      ...warningHeader(isLinked ? query.warnings : [noLink, ...query.warnings], isCut, request.urlOf("")),
      ...(link !== "" && isLinked && { Link: link }),
      ...(count !== undefined && { "X-Total-Count": `${count}` }),
    });
  };
}

/**
 * PS3.18 8.3.4.2 and 8.3.4.4: `299 {SERVICE}: "text"`, where the service is the base URI of the server.
 * @param isCut whether there are more matches than the server answers at once
 */
export function warningHeader(
  warnings: readonly string[],
  isCut: boolean,
  root: string,
): { readonly Warning?: string } {
  const texts = isCut ? [tooMany, ...warnings] : warnings;
  if (texts.length === 0) return {};
  const service = root.replace(/\/$/, "");
  const each = texts.slice(0, mostWarnings).map((text) => `299 ${service}: "${text}"`);
  return { Warning: each.join(", ") };
}

/** RFC 8288: the same search, which goes on behind the last answer. */
function linkToNext(scope: SearchScope, { query, urlOf }: Request<unknown>, cursor: string): string {
  const next = new URLSearchParams(query);
  next.delete("offset");
  next.set("cursor", cursor);
  return `<${urlOf(searchPath(scope))}?${next.toString()}>; rel="next"`;
}

function searchPath({ level, studyInstanceUid, seriesInstanceUid }: SearchScope): string {
  const study = studyInstanceUid === undefined ? "" : `studies/${studyInstanceUid}/`;
  const series = seriesInstanceUid === undefined ? "" : `series/${seriesInstanceUid}/`;
  return study + series + resources[level];
}
