/** Paging of a search: limit and offset (PS3.18 8.3.4.4), and what that has not: orderby, cursor and count. */
import { ArchiveError } from "../errors.ts";
import type { SearchLevel } from "./attributes.ts";
import { type Continuation, fromCursor, orderOf, type SortKey } from "./search-order.ts";

/** Matches answered when the client sets no limit, and at most. */
export const defaultLimit = 1000;
export const largestLimit = 100_000;

/** Which of the matches are answered, and in which order. */
export interface Paging extends Partial<Continuation> {
  readonly order: readonly SortKey[];
  readonly limit: number;
  readonly offset: number;
  /** Whether all matches are counted, too. */
  readonly count: boolean;
  /** Whether the limit is the server's own: the client asked for none, or for more than is answered at once. */
  readonly limited: boolean;
}

/** The parameters of `parsePaging`. */
export const pagingParameters: ReadonlySet<string> = new Set(["limit", "offset", "orderby", "cursor", "count"]);

/**
 * What the paging parameters among `parameters` say; of one given twice the last counts, but `orderby` goes on.
 * @throws ArchiveError `invalid-query`
 */
export function parsePaging(
  level: SearchLevel,
  parameters: readonly (readonly [name: string, value: string])[],
): Paging {
  const given = new Map(parameters);
  const orderby = parameters.flatMap(([name, value]) => (name === "orderby" ? listOf(value) : []));
  const order = orderOf(level, orderby);
  const limit = wholeNumber("limit", given.get("limit"));
  const cursor = given.get("cursor");
  if (cursor !== undefined && given.has("offset")) {
    throw new ArchiveError(
      "invalid-query",
      "cursor and offset cannot be given together: a cursor says where to go on.",
    );
  }
  return {
    order,
    ...(cursor !== undefined && fromCursor(level, order, cursor)),
    limit: Math.min(limit ?? defaultLimit, largestLimit),
    offset: wholeNumber("offset", given.get("offset")) ?? 0,
    count: flag("count", given.get("count")),
    limited: limit === undefined || limit > largestLimit,
  };
}

/** The members of a list joined by comma; blanks around them mean nothing. */
export function listOf(value: string): string[] {
  return value.split(",").flatMap((member) => member.trim() || []);
}

function wholeNumber(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  // Beyond the integers that a number holds exactly lies no match.
  if (/^\d+$/.test(value)) return Math.min(Number(value), 2 ** 52);
  throw new ArchiveError("invalid-query", `${name} is not a whole number of 0 or more.`);
}

function flag(name: string, value = "false"): boolean {
  if (value === "true" || value === "false") return value === "true";
  throw new ArchiveError("invalid-query", `${name} is neither true nor false.`);
}
