/** What `backup` and `restore` have in common: words, and a progress line. */
import { type Progress, startProgress } from "./progress.ts";

/** What is wrong with an object, in words. */
export const faultWords = { missing: "is missing", "wrong-bytes": "has other bytes than were stored" } as const;

/** Bytes as MB, or GB when there are many. */
export function amount(bytes: number): string {
  return bytes < 10e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}

/** A number of studies. */
export function studies(number: number): string {
  return number === 1 ? "1 study" : `${number} studies`;
}

/** A progress line that begins when it is known how much there is to do. */
export function lateProgress() {
  let progress: Progress | undefined;
  return {
    onStart: (objects: number, bytes: number) => {
      if (objects > 0) progress = startProgress(process.stderr, objects, bytes);
    },
    onObjects: (objects: number, bytes: number) => progress?.add(objects, bytes),
    stop: () => progress?.stop(),
  };
}

/** Exit code of what the user has stopped; rethrows anything else. */
export function stopped(error: unknown, signal: AbortSignal): number {
  if (!signal.aborted) throw error;
  console.error("Stopped. Run it again to go on.");
  return 1;
}
