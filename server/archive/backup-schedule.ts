/** When backups are made by themselves: at times of day, in the time zone of the process. */

const clockTime = /^([01]\d|2[0-3]):([0-5]\d)$/;

/** Whether `text` is a time of day such as `02:30`. */
export function isClockTime(text: string): boolean {
  return clockTime.test(text);
}

/** The last moment up to `now` at which the clock has shown one of `times`. */
export function lastTurn(times: readonly string[], now: Date): Date {
  const past = turnsAround(times, now).filter((turn) => turn <= now);
  return past.at(-1) ?? now;
}

/** The first moment after `now` at which the clock shows one of `times`. */
export function nextTurn(times: readonly string[], now: Date): Date {
  const coming = turnsAround(times, now).filter((turn) => turn > now);
  return coming[0] ?? now;
}

/**
 * The moments of the days around `now`, in order. A time that the clock skips when it is put forward comes as much
 * later; one that it shows twice comes once.
 */
function turnsAround(times: readonly string[], now: Date): Date[] {
  const turns = [-2, -1, 0, 1, 2].flatMap((days) =>
    times.map((time) => {
      const [hours = 0, minutes = 0] = time.split(":").map(Number);
      return new Date(now.getFullYear(), now.getMonth(), now.getDate() + days, hours, minutes);
    }),
  );
  return turns.sort((one, other) => one.getTime() - other.getTime());
}

/** What is known of the backups that were made so far. */
export interface BackupHistory {
  /** When the last one that made a snapshot was begun; undefined when there was none. */
  readonly lastSuccess: Date | undefined;
  /** When each one since then that failed has ended, in any order. */
  readonly failures: readonly Date[];
}

/** How long (milliseconds) to wait after a failure, the second one in a row, and so on; the last one for all further. */
const waits = [60_000, 5 * 60_000, 15 * 60_000, 3600_000];

/** Milliseconds by which the clocks of the database and of this process may differ. */
const clockTolerance = 3600_000;

/**
 * Whether one has been begun since the last turn. A moment that is still to come tells nothing: the clock was put back
 * since, and by it no backup would be made until then.
 */
export function isCovered(times: readonly string[], lastSuccess: Date | undefined, now: Date): boolean {
  if (lastSuccess === undefined || lastSuccess.getTime() - now.getTime() > clockTolerance) return false;
  return lastSuccess >= lastTurn(times, now);
}

/**
 * Whether a backup is to be made now: none has been begun since the last turn, which may have been missed while no
 * server ran. One that failed is tried again after a while.
 */
export function isDue(times: readonly string[], { lastSuccess, failures }: BackupHistory, now: Date): boolean {
  if (isCovered(times, lastSuccess, now)) return false;
  const lastFailure = Math.max(...failures.map((failure) => failure.getTime()));
  const wait = waits[Math.min(failures.length, waits.length) - 1] ?? 0;
  return failures.length === 0 || lastFailure - now.getTime() > clockTolerance || now.getTime() - lastFailure >= wait;
}
