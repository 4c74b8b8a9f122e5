/** Search transaction (PS3.18 10.6): studies, series and instances at every resource path. */
import type { SearchScope } from "../archive/query.ts";
import type { SearchAnswer } from "../archive/search.ts";
import { toJsonText } from "../dicom/json.ts";
import { requireJson } from "./negotiate-json.ts";
import type { Reply, Request } from "./reply.ts";

/** PS3.18 8.3.4.4: a limit that the client did not set. */
const tooMany =
  "The number of results exceeded the maximum supported by the server. Additional results can be requested.";

/** Warnings in one header: clients and proxies limit its length. */
const mostWarnings = 10;

/** Makes the handler of one search resource. */
export function searchHandler<Params>(scopeOf: (params: Params) => SearchScope) {
  return async (request: Request<Params>): Promise<Reply> => {
    const contentType = requireJson(request.accept);
    const query = request.archive.query(scopeOf(request.params), request.query);
    const { answers, more } = await request.archive.search(query, request.urlOf);
    const warnings = more && query.limited ? [tooMany, ...query.warnings] : query.warnings;
    const warning = warnings
      .slice(0, mostWarnings)
      .map((text) => `299 noctis "${text}"`)
      .join(", ");
    return {
      status: 200,
      headers: {
        "Content-Type": contentType,
        "Cache-Control": "no-cache",
        Vary: "Accept",
        ...(warning && { Warning: warning }),
      },
      body: jsonArray(answers),
    };
  };
}

/** Matches as one JSON array, in chunks worth a write. */
async function* jsonArray(answers: Iterable<SearchAnswer>): AsyncGenerator<string> {
  let text = "[";
  let separator = "";
  for (const answer of answers) {
    text += separator + toJsonText(answer);
    separator = ",";
    if (text.length < 65_536) continue;
    yield text;
    text = "";
  }
  yield `${text}]`;
}
