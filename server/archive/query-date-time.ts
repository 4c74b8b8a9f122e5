/** Keys of VR DT (PS3.4 C.2.2.2.5.3), and offsets from UTC. */
import type { RangeMatch } from "../../storage/catalog-match.ts";
import { toDate, toTime } from "./index-values.ts";
import { refuse, requireOrder } from "./query-range.ts";

/** What a DT key asks for: in UTC when it, or the request, names an offset, else as the values are written. */
export interface DateTimeRange {
  readonly inUtc: boolean;
  readonly match: RangeMatch;
}

/** Minutes of an offset from UTC, `+HHMM` from -1200 to +1400 (PS3.3 C.12.1.1.8); undefined when it is none. */
export function offsetMinutes(text: string): number | undefined {
  const parts = /^([+-])(\d\d)([0-5]\d)$/.exec(text);
  if (!parts) return undefined;
  const minutes = Number(`${parts[1]}1`) * (Number(parts[2]) * 60 + Number(parts[3]));
  return minutes < -12 * 60 || minutes > 14 * 60 ? undefined : minutes;
}

/**
 * One DT, or two joined by a hyphen of which one may be missing. A hyphen means a range (PS3.4 C.2.2.2.1.3) wherever it
 * can; else it is the sign of an offset.
 * @param zone offset of the request in minutes, for values without one
 * @throws ArchiveError `invalid-query`
 */
export function dateTimeRange(name: string, value: string, zone: number | undefined): DateTimeRange {
  for (const [first, last] of readings(value)) {
    const [from, to] = [first === "" ? undefined : momentOf(first), last === "" ? undefined : momentOf(last)];
    if ((from === undefined && first !== "") || (to === undefined && last !== "")) continue;
    if (from === undefined && to === undefined) continue;
    const offsets = [from, to].flatMap((moment) => (moment ? [moment.offset ?? zone] : []));
    const inUtc = offsets.some((offset) => offset !== undefined);
    const end = (moment: Moment | undefined, text: "earliest" | "latest") =>
      moment && written(moment[text], inUtc ? (moment.offset ?? zone ?? 0) : 0);
    const [begin, until] = [end(from, "earliest"), end(to, "latest")];
    // Year 0300 behind a hyphen is an offset.
    if (begin !== undefined && until !== undefined && begin > until && momentOf(value)) continue;
    const match: RangeMatch = { kind: "range", ...(begin && { from: begin }), ...(until && { to: until }) };
    requireOrder(name, match);
    return { inUtc, match };
  }
  return refuse(
    name,
    "date and time",
    "YYYYMMDDHHMMSS, +HHMM behind it where it is not local, or two joined by a hyphen",
  );
}

/** Every way to take a key for two ends: split at a hyphen, last of all for one value. */
function readings(value: string): readonly (readonly [string, string])[] {
  const hyphens = [...value.matchAll(/-/g)].slice(0, 4).map(({ index }) => index);
  return [...hyphens.map((at) => [value.slice(0, at), value.slice(at + 1)] as const), [value, value] as const];
}

interface Moment {
  /** Milliseconds since 1970 and the microseconds that follow, as if the value were UTC. */
  readonly earliest: Instant;
  readonly latest: Instant;
  /** Minutes. */
  readonly offset: number | undefined;
}

interface Instant {
  readonly seconds: number;
  /** Six digits. */
  readonly fraction: string;
}

const pattern = /^(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:\.(\d{1,6}))?([+-]\d{4})?$/;

function momentOf(text: string): Moment | undefined {
  const parts = pattern.exec(text);
  if (!parts) return undefined;
  const [, year = "", month, day, hour, minute, second, fraction, offsetText] = parts;
  if (fraction !== undefined && second === undefined) return undefined;
  const offset = offsetText === undefined ? undefined : offsetMinutes(offsetText);
  if (offsetText !== undefined && offset === undefined) return undefined;
  const date = toDate(`${year}${month ?? "01"}${day ?? "01"}`);
  const time = toTime(`${hour ?? "00"}${minute ?? ""}${second ?? ""}`);
  if (date === null || time === null) return undefined;
  const earliest = {
    seconds: Date.parse(`${date}T${time.slice(0, 8)}Z`) / 1000,
    fraction: (fraction ?? "").padEnd(6, "0"),
  };
  return { earliest, latest: fraction === undefined ? lastOf(earliest.seconds, parts) : earliest, offset };
}

/** The last moment of a value that leaves out what follows. */
function lastOf(seconds: number, [, , month, day, hour, minute, second]: readonly (string | undefined)[]): Instant {
  const next = new Date(seconds * 1000);
  if (month === undefined) next.setUTCFullYear(next.getUTCFullYear() + 1);
  else if (day === undefined) next.setUTCMonth(next.getUTCMonth() + 1);
  else if (hour === undefined) next.setUTCDate(next.getUTCDate() + 1);
  else if (minute === undefined) next.setUTCHours(next.getUTCHours() + 1);
  else if (second === undefined) next.setUTCMinutes(next.getUTCMinutes() + 1);
  else next.setUTCSeconds(next.getUTCSeconds() + 1);
  return { seconds: next.getTime() / 1000 - 1, fraction: "999999" };
}

/** YYYY-MM-DD HH:MM:SS.ffffff, moved from `offset` minutes to UTC; bounded by the years 0001 and 9999. */
function written({ seconds, fraction }: Instant, offset: number): string {
  const text = new Date((seconds - offset * 60) * 1000).toISOString();
  if (text.startsWith("-") || text.startsWith("0000")) return "0001-01-01 00:00:00.000000";
  if (text.startsWith("+")) return "9999-12-31 23:59:59.999999";
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${fraction}`;
}
