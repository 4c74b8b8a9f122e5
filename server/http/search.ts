/** Search transaction (PS3.18 10.6): studies, series and instances at every resource path. */
import type { SearchScope } from "../archive/query.ts";
import type { SearchAnswer } from "../archive/search.ts";
import { requireJson } from "./negotiate-json.ts";
import type { Reply, Request } from "./reply.ts";

/** Warnings in one header: clients and proxies limit its length. */
const mostWarnings = 10;

/** Makes the handler of one search resource. */
export function searchHandler<Params>(scopeOf: (params: Params) => SearchScope) {
  return async (request: Request<Params>): Promise<Reply> => {
    const contentType = requireJson(request.accept);
    const query = request.archive.query(scopeOf(request.params), request.query);
    const answers = request.archive.search(query, request.urlOf)[Symbol.asyncIterator]();
    // The first match tells whether the search works at all, while a status can still be set.
    const first = await answers.next();
    const warning = query.warnings
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
      body: jsonArray(first, answers),
    };
  };
}

/** Matches as one JSON array, in chunks worth a write. */
async function* jsonArray(
  first: IteratorResult<SearchAnswer>,
  rest: AsyncIterator<SearchAnswer>,
): AsyncGenerator<string> {
  let text = "[";
  let separator = "";
  for (let next = first; next.done !== true; next = await rest.next()) {
    text += separator + JSON.stringify(next.value);
    separator = ",";
    if (text.length < 65_536) continue;
    yield text;
    text = "";
  }
  yield `${text}]`;
}
