/** How long to wait before something that failed is tried again. */

/** Longest wait (seconds) between two attempts, unless said otherwise. */
const longestDelay = 3600;

/** Seconds to wait after so many failures in a row: doubled each time, with jitter, `longest` at most. */
export function retryDelay(failures: number, longest = longestDelay, random: number = Math.random()): number {
  return Math.min(longest, 2 ** Math.min(failures, 20)) * (0.5 + random / 2);
}
