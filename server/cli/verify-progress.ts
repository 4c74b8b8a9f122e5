/** The progress of a verification: how much of the keys it has seen, what it has read, and the time that remains. */
import type { RunProgress } from "../archive/verify.ts";
import { duration, type ProgressOutput } from "./progress.ts";

const barWidth = 24;

/**
 * One line about `now`, which began at `begun` so many milliseconds ago. What an earlier run did counts for the share,
 * and not for the rate.
 */
export function verifyLine(begun: RunProgress, now: RunProgress, elapsedMs: number, width?: number): string {
  const filled = Math.floor(now.share * barWidth);
  const bar = `[${"#".repeat(filled)}${"-".repeat(barWidth - filled)}]`;
  const seconds = elapsedMs / 1000;
  const rate = seconds === 0 ? 0 : (now.bytesRead - begun.bytesRead) / seconds;
  const gained = now.share - begun.share;
  const left = gained <= 0 ? "" : `, ${duration((seconds * (1 - now.share)) / gained)} left`;
  const percent = `${Math.floor(now.share * 100)}%`.padStart(4);
  const line = `${bar} ${percent}  ${now.objects} objects, ${(rate / 1e6).toFixed(1)} MB/s${left}`;
  return line.slice(0, width);
}

/** Shows the line on `output` until `stop`: five times a second on a terminal, every ten seconds elsewhere. */
export function startVerifyProgress(output: ProgressOutput) {
  const terminal = output.isTTY === true;
  let startedAt = performance.now();
  let begun: RunProgress | undefined;
  let now: RunProgress | undefined;
  const show = () => {
    if (!begun || !now) return;
    const width = terminal ? (output.columns || 80) - 1 : undefined;
    const line = verifyLine(begun, now, performance.now() - startedAt, width);
    output.write(terminal ? `\r${line}\u001B[K` : `${line}\n`);
  };
  const timer = setInterval(show, terminal ? 200 : 10_000);
  timer.unref();
  return {
    reach: (progress: RunProgress) => {
      if (!begun) startedAt = performance.now();
      begun ??= { ...progress };
      now = { ...progress };
    },
    stop: () => {
      clearInterval(timer);
      if (!terminal || !now) return;
      show();
      output.write("\n");
    },
  };
}
