/** Media types and their negotiation: RFC 9110 8.3.1 and 12.5.1, PS3.18 8.7. Lenient in what it reads. */
import { ArchiveError } from "../errors.ts";

/** A media type with its parameters. */
export interface MediaType {
  /** Type and subtype, in lower case: `multipart/related`; in an Accept header also `image/*` or a star for both. */
  readonly type: string;
  /** The parameters by lower-case name, unquoted; the first of each name. */
  readonly params: ReadonlyMap<string, string>;
}

/** One media range of an Accept header. */
export interface AcceptRange {
  /** The media type that the client wants: of a multipart range that of its parts. May hold stars. */
  readonly mediaType: string;
  /** True: only as multipart. False: only as a single part. Undefined (a range of stars alone): either. */
  readonly multipart: boolean | undefined;
  /** Parameter `transfer-syntax`; undefined when absent or a star, which is any. */
  readonly transferSyntaxUid: string | undefined;
  /** Weight from 0 (not acceptable) to 1. */
  readonly q: number;
}

/** A representation that the server can give. */
export interface Offer {
  /** Media type in lower case, without parameters; of a multipart message that of its parts. */
  readonly mediaType: string;
  readonly multipart: boolean;
  /** Transfer syntax of the bytes; undefined where it means nothing (JSON, PDF), and then any that is asked for fits. */
  readonly transferSyntaxUid?: string;
}

const rangeLimit = 200;
const anything: AcceptRange = { mediaType: "*/*", multipart: undefined, transferSyntaxUid: undefined, q: 1 };

/**
 * The media type that `text` (a Content-Type value, or one media range) says; undefined when it is none. Tolerated:
 * values with a slash that are not quoted, a quote that is never closed, and parameters put inside the quotes of
 * `type` (`type="image/jp2; transfer-syntax=1.2.840.10008.1.2.4.90"`).
 */
export function parseMediaType(text: string): MediaType | undefined {
  const [first = "", ...rest] = splitOutsideQuotes(text, ";");
  const type = first.trim().toLowerCase();
  if (!/^[^\s/"=,]+\/[^\s/"=,]+$/.test(type)) return undefined;
  const params = new Map<string, string>();
  for (const param of rest) addParam(params, param);
  const [root = "", ...inside] = (params.get("type") ?? "").split(";");
  if (inside.length > 0) params.set("type", root.trim());
  for (const param of inside) addParam(params, param);
  return { type, params };
}

/**
 * The media ranges of an Accept header (or of the query parameter `accept`, PS3.18 8.3.3.1), the greatest weight
 * first, otherwise in the order given. A range that cannot be read is passed over; no header, or an empty one, accepts
 * anything. Throws ArchiveError `invalid-request` when there are more than 200.
 */
export function parseAccept(header: string | undefined): AcceptRange[] {
  if (header === undefined || header.trim() === "") return [anything];
  const texts = splitOutsideQuotes(header, ",");
  if (texts.length > rangeLimit) {
    throw new ArchiveError("invalid-request", `Accept names more than ${rangeLimit} media ranges.`);
  }
  return texts.flatMap((text) => acceptRange(text) ?? []).sort((a, b) => b.q - a.q);
}

/**
 * The offer that the client prefers; undefined when it accepts none (answer 406). The most specific range that matches
 * an offer gives its weight (RFC 9110 12.5.1); a weight of 0 excludes it. Of equal weights, one matched by its media
 * type comes before one matched by a star, and then the earlier offer wins: list first what costs the least.
 */
export function negotiate<T extends Offer>(accept: readonly AcceptRange[], offers: readonly T[]): T | undefined {
  let best: { offer: T; q: number; rank: number } | undefined;
  for (const offer of offers) {
    const range = mostSpecific(accept, offer);
    if (range === undefined || range.q === 0) continue;
    const rank = typeSpecificity(range);
    const better = best === undefined || range.q > best.q || (range.q === best.q && rank > best.rank);
    if (better) best = { offer, q: range.q, rank };
  }
  return best?.offer;
}

function acceptRange(text: string): AcceptRange | undefined {
  // Some HTTP libraries send a single star.
  const media = parseMediaType(text.replace(/^\s*\*\s*(?=;|$)/, "*/*"));
  if (media === undefined) return undefined;
  const { type, params } = media;
  const isMultipart = type.startsWith("multipart/");
  const transferSyntax = params.get("transfer-syntax") ?? "*";
  return {
    mediaType: isMultipart ? (params.get("type") ?? "*/*").toLowerCase() : type,
    multipart: type === "*/*" ? undefined : isMultipart,
    transferSyntaxUid: transferSyntax === "*" ? undefined : transferSyntax,
    q: weight(params.get("q")),
  };
}

/** RFC 9110 12.4.2; what is not a number counts as absent. */
function weight(text: string | undefined): number {
  const q = Number.parseFloat(text ?? "1");
  return Number.isNaN(q) ? 1 : Math.min(1, Math.max(0, q));
}

function mostSpecific(accept: readonly AcceptRange[], offer: Offer): AcceptRange | undefined {
  let best: AcceptRange | undefined;
  for (const range of accept) {
    if (!matches(range, offer)) continue;
    if (best === undefined || specificity(range) > specificity(best)) best = range;
  }
  return best;
}

function matches(range: AcceptRange, offer: Offer): boolean {
  if (range.multipart !== undefined && range.multipart !== offer.multipart) return false;
  if ((range.transferSyntaxUid ?? offer.transferSyntaxUid) !== (offer.transferSyntaxUid ?? range.transferSyntaxUid)) {
    return false;
  }
  if (range.mediaType === "*/*") return true;
  if (range.mediaType.endsWith("/*")) return offer.mediaType.startsWith(range.mediaType.slice(0, -1));
  return range.mediaType === offer.mediaType;
}

function specificity(range: AcceptRange): number {
  return typeSpecificity(range) * 2 + (range.transferSyntaxUid === undefined ? 0 : 1);
}

/** 0 for stars alone, 3 for a whole media type; a multipart of anything and `image/*` lie between. */
function typeSpecificity({ mediaType, multipart }: AcceptRange): number {
  if (mediaType === "*/*") return multipart === undefined ? 0 : 1;
  return mediaType.endsWith("/*") ? 2 : 3;
}

function addParam(params: Map<string, string>, text: string): void {
  const equals = text.indexOf("=");
  if (equals === -1) return;
  const name = text.slice(0, equals).trim().toLowerCase();
  if (name !== "" && !params.has(name)) params.set(name, unquoted(text.slice(equals + 1).trim()));
}

/** RFC 9110 5.6.4; the closing quote may be missing. */
function unquoted(value: string): string {
  if (!value.startsWith('"')) return value;
  return value.replace(/^"|"$/g, "").replaceAll(/\\(.)/g, "$1");
}

/** The pieces of `text` between separators that stand outside double quotes. */
function splitOutsideQuotes(text: string, separator: string): string[] {
  const pieces: string[] = [];
  let quoted = false;
  let from = 0;
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at];
    if (quoted && character === "\\") at += 1;
    else if (character === '"') quoted = !quoted;
    else if (character === separator && !quoted) {
      pieces.push(text.slice(from, at));
      from = at + 1;
    }
  }
  pieces.push(text.slice(from));
  return pieces;
}
