/** Content negotiation by header or query (PS3.18 8.3.3): media types, and the character set, which is UTF-8. */
import { ArchiveError } from "../errors.ts";
import type { HeaderOf } from "./conditional.ts";
import { type AcceptRange, parseAccept } from "./media-type.ts";

/**
 * What the client accepts: the `accept` parameters, which come before the Accept header (PS3.18 8.3.3.1). A plus sign
 * that was not escaped has become a blank. @throws ArchiveError `invalid-request`
 */
export function acceptOf(query: URLSearchParams, header: HeaderOf): AcceptRange[] {
  const asked = query.getAll("accept").join(",");
  return parseAccept(asked === "" ? header("accept") : asked.replaceAll(/(?<=[\w.-]) (?=(json|xml)\b)/g, "+"));
}

/**
 * Every text is in UTF-8. Whoever names other character sets gets it all the same (RFC 9110 12.5.2 allows it); only
 * who rules it out by a weight of 0 is refused. The `charset` parameter comes before the Accept-Charset header.
 * @throws ArchiveError `not-acceptable`
 */
export function requireUtf8(query: URLSearchParams, header: HeaderOf): void {
  const asked = query.getAll("charset").join(",") || header("accept-charset");
  if (asked === undefined) return;
  const weights = new Map<string, number>();
  for (const item of asked.split(",")) {
    const [name = "", ...params] = item.split(";").map((text) => text.trim().toLowerCase());
    const q = params.find((param) => param.startsWith("q="))?.slice(2);
    weights.set(name, q === undefined ? 1 : Number(q));
  }
  const weight = weights.get("utf-8") ?? weights.get("utf8") ?? weights.get("*");
  if (weight === 0) throw new ArchiveError("not-acceptable", "Text is available in the character set UTF-8.");
}
