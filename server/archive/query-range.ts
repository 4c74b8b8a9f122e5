/** Ranges of dates, times and date-times in query keys (PS3.4 C.2.2.2.5). */
import type { RangeMatch } from "../../storage/catalog-match.ts";
import { ArchiveError } from "../errors.ts";
import { toDate, toTime } from "./index-values.ts";

/** The DA and TM attributes that are taken together (PS3.4 C.2.2.2.5.4), by tag. */
export const datesWithTimes: ReadonlyMap<string, string> = new Map([
  ["00080012", "00080013"], // Instance Creation
  ["00080020", "00080030"], // Study
  ["00080021", "00080031"], // Series
  ["00080022", "00080032"], // Acquisition
  ["00080023", "00080033"], // Content
  ["00400002", "00400003"], // Scheduled Procedure Step Start
  ["00400004", "00400005"], // Scheduled Procedure Step End
  ["00400244", "00400245"], // Performed Procedure Step Start
  ["00400250", "00400251"], // Performed Procedure Step End
]);

/** A range, and whether it was written as one: a single value is a range of what it leaves out. */
export interface KeyRange extends RangeMatch {
  readonly single: boolean;
}

type Parser = (text: string) => string | null;

/** A key of VR DA: one date, or two joined by a hyphen of which one may be missing. @throws ArchiveError `invalid-query` */
export function dateRange(name: string, value: string): KeyRange {
  return splitRange(value, toDate, toDate) ?? refuse(name, "date", "YYYYMMDD or YYYYMMDD-YYYYMMDD");
}

/** A key of VR TM; what the last time leaves out is included. @throws ArchiveError `invalid-query` */
export function timeRange(name: string, value: string): KeyRange {
  return splitRange(value, toTime, toLatestTime) ?? refuse(name, "time", "HHMMSS or HHMMSS-HHMMSS");
}

function splitRange(value: string, earliest: Parser, latest: Parser): KeyRange | undefined {
  const [from = "", to, ...more] = value.split("-");
  return more.length > 0 ? undefined : rangeOf(from, to, earliest, latest);
}

/**
 * Refuses a key that is neither a value nor a range.
 * @param what what its values are
 * @param form how they are written
 * @throws ArchiveError `invalid-query`
 */
export function refuse(name: string, what: string, form: string): never {
  throw new ArchiveError("invalid-query", `${name} is neither a ${what} nor a range of two: it is written ${form}.`);
}

/** Undefined when an end is ill-formed, or when both are missing. */
function rangeOf(from: string, to: string | undefined, earliest: Parser, latest: Parser): KeyRange | undefined {
  const single = to === undefined;
  const end = to ?? from;
  if (from === "" && end === "") return undefined;
  const [first, last] = [earliest(from), latest(end)];
  if ((first === null && from !== "") || (last === null && end !== "")) return undefined;
  return { kind: "range", single, ...(first !== null && { from: first }), ...(last !== null && { to: last }) };
}

/** Refuses a range that ends before it begins: it could match nothing. @throws ArchiveError `invalid-query` */
export function requireOrder(name: string, { from, to }: RangeMatch): void {
  if (from === undefined || to === undefined || from <= to) return;
  throw new ArchiveError("invalid-query", `${name} is a range that ends before it begins.`);
}

/** The last moment of a TM that leaves out minutes, seconds or fractions. */
function toLatestTime(text: string): string | null {
  const start = toTime(text);
  if (start === null) return null;
  const digits = text.replaceAll(":", "").split(".", 1)[0]?.length ?? 0;
  const [hour, minute] = start.split(":");
  if (digits === 2) return `${hour}:59:59.999999`;
  if (digits === 4) return `${hour}:${minute}:59.999999`;
  return text.includes(".") ? start : start.replace(/\.0+$/, ".999999");
}

/** Both taken together when both are ranges of the same form (PS3.4 C.2.2.2.5.4); else undefined. */
export function combinedRange(date: KeyRange, time: KeyRange): RangeMatch | undefined {
  if (date.single || time.single) return undefined;
  if ((date.from === undefined) !== (time.from === undefined)) return undefined;
  if ((date.to === undefined) !== (time.to === undefined)) return undefined;
  return {
    kind: "range",
    ...(date.from !== undefined && { from: `${date.from} ${time.from}` }),
    ...(date.to !== undefined && { to: `${date.to} ${time.to}` }),
  };
}

/** The range of dates with `days` more at both ends. */
export function widened({ from, to }: RangeMatch, days: number): RangeMatch {
  const [first, last] = [from && daysAfter(from, -days), to && daysAfter(to, days)];
  return { kind: "range", ...(first && { from: first }), ...(last && { to: last }) };
}

/** Undefined beyond the years 1 to 9999. */
function daysAfter(date: string, days: number): string | undefined {
  const moment = new Date(`${date}T00:00:00Z`);
  moment.setUTCDate(moment.getUTCDate() + days);
  const year = moment.getUTCFullYear();
  return year < 1 || year > 9999 ? undefined : moment.toISOString().slice(0, 10);
}
