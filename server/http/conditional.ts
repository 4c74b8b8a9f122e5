/** Conditional requests (RFC 9110 13): whether a GET or HEAD is answered in full, by 304, or by 412. */

/** What tells one state of a resource from another. */
export interface Validators {
  /** Quoted, `W/` in front when weak (RFC 9110 8.8.3). */
  readonly etag?: string | undefined;
  readonly lastModified?: Date | undefined;
}

/** A request header by its lower-case name. */
export type HeaderOf = (name: string) => string | undefined;

/** What the preconditions of a request come to. */
export type Precondition = "met" | "not-modified" | "failed";

/** Evaluates the preconditions of a GET or HEAD in the order of RFC 9110 13.2.2; dates that are none are ignored. */
export function precondition(header: HeaderOf, { etag, lastModified }: Validators): Precondition {
  const ifMatch = header("if-match");
  if (ifMatch !== undefined) {
    if (!listed(ifMatch, etag, isSameStrongly)) return "failed";
  } else if (isLater(lastModified, dateOf(header("if-unmodified-since")))) return "failed";
  const ifNoneMatch = header("if-none-match");
  if (ifNoneMatch !== undefined) return listed(ifNoneMatch, etag, isSameWeakly) ? "not-modified" : "met";
  const since = dateOf(header("if-modified-since"));
  if (since === undefined || lastModified === undefined) return "met";
  return isLater(lastModified, since) ? "met" : "not-modified";
}

/**
 * Whether a Range header counts (RFC 9110 13.1.5): there is no If-Range, or it names the present state by a strong
 * validator. A date is one only when the state is older than the second of the request.
 */
export function isRangeCurrent(header: HeaderOf, { etag, lastModified }: Validators, now = new Date()): boolean {
  const ifRange = header("if-range");
  if (ifRange === undefined) return true;
  if (/^\s*(W\/)?"/.test(ifRange)) return etag !== undefined && isSameStrongly(ifRange.trim(), etag);
  const date = dateOf(ifRange);
  if (date === undefined || lastModified === undefined) return false;
  return seconds(date) === seconds(lastModified) && seconds(lastModified) < seconds(now);
}

/** RFC 9110 8.8.3.2. */
function isSameStrongly(one: string, other: string): boolean {
  return one === other && !one.startsWith("W/");
}

function isSameWeakly(one: string, other: string): boolean {
  return one.replace(/^W\//, "") === other.replace(/^W\//, "");
}

/** A star names any state of what exists. */
function listed(header: string, etag: string | undefined, isSame: (one: string, other: string) => boolean): boolean {
  if (header.trim() === "*") return true;
  if (etag === undefined) return false;
  return (header.match(/(?:W\/)?"[^"]*"/g) ?? []).some((tag) => isSame(tag, etag));
}

/** Dates are compared by the second, as they are sent. */
function isLater(lastModified: Date | undefined, date: Date | undefined): boolean {
  return lastModified !== undefined && date !== undefined && seconds(lastModified) > seconds(date);
}

function seconds(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}

/** RFC 9110 5.6.7: IMF-fixdate and the two obsolete forms, which Date reads too; every one names a day and a time. */
function dateOf(text: string | undefined): Date | undefined {
  if (text === undefined || !/^[A-Z][a-z]{2,8},? .*\d\d:\d\d:\d\d/.test(text)) return undefined;
  // asctime names no zone and means GMT.
  const date = new Date(text.trim().endsWith("GMT") ? text : `${text} GMT`);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
