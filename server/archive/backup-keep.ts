/** Which snapshots are kept: the newest of so many days, weeks and months. */
import { ArchiveError } from "../errors.ts";

/** How many days, ISO weeks (ISO 8601) and months with a snapshot keep one. */
export interface KeepRule {
  readonly days: number;
  readonly weeks: number;
  readonly months: number;
}

const rulePattern = /^(?=\d)(?:(\d{1,4})d)?(?:(\d{1,4})w)?(?:(\d{1,4})m)?$/;

/** What a rule looks like, for those who wrote another. */
export const keepForm = "must be like 7d4w12m: days, weeks and months of which the newest snapshot is kept";

/** Whether `text` is a rule, and one that keeps something. */
export function isKeepRule(text: string): boolean {
  const { days, weeks, months } = parseKeepRule(text);
  return days + weeks + months > 0;
}

/** The rule of `7d4w12m`; one that keeps nothing when it is none. */
export function parseKeepRule(text: string): KeepRule {
  const match = rulePattern.exec(text) ?? [];
  const [days = 0, weeks = 0, months = 0] = match.slice(1).map((count: string | undefined) => Number(count ?? 0));
  return { days, weeks, months };
}

/**
 * Which of `moments` are kept, as they were given. Periods are those that have a snapshot: where backups were not made
 * for a while, older ones stay instead. The newest of all is always kept.
 * @param timeZone IANA name of the zone whose days count; default that of the process
 */
export function kept(moments: readonly Date[], rule: KeepRule, timeZone?: string): ReadonlySet<Date> {
  const newestFirst = [...moments].sort((one, other) => other.getTime() - one.getTime());
  const format = new Intl.DateTimeFormat("en-CA", {
    ...(timeZone !== undefined && { timeZone }),
    calendar: "iso8601",
    year: "numeric",
    month: "2-digit",
    day: "2-digit",
  });
  const dayOf = (moment: Date) => {
    const parts = new Map(format.formatToParts(moment).map(({ type, value }) => [type, value]));
    return `${parts.get("year")?.padStart(4, "0")}-${parts.get("month")}-${parts.get("day")}`;
  };
  const periods = [
    { count: rule.days, nameOf: dayOf },
    { count: rule.weeks, nameOf: (moment: Date) => isoWeek(dayOf(moment)) },
    { count: rule.months, nameOf: (moment: Date) => dayOf(moment).slice(0, 7) },
  ];
  const keep = new Set(newestFirst.slice(0, 1));
  for (const { count, nameOf } of periods) {
    const named = new Set<string>();
    for (const moment of newestFirst) {
      if (named.size === count) break;
      const name = nameOf(moment);
      if (named.has(name)) continue;
      named.add(name);
      keep.add(moment);
    }
  }
  return keep;
}

/** The ISO week (ISO 8601 5.2.3) of a day YYYY-MM-DD, as YYYY-Www: weeks begin on Monday and belong to the year of their Thursday. */
function isoWeek(day: string): string {
  const thursday = new Date(`${day}T00:00:00Z`);
  if (Number.isNaN(thursday.getTime())) throw new ArchiveError("internal", "A day is malformed.");
  thursday.setUTCDate(thursday.getUTCDate() + 4 - (thursday.getUTCDay() || 7));
  const year = thursday.getUTCFullYear();
  const week = Math.ceil(((thursday.getTime() - Date.UTC(year, 0, 1)) / 86_400_000 + 1) / 7);
  return `${year}-W${String(week).padStart(2, "0")}`;
}
