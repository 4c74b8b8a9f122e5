/** Numbers that look random and are the same for the same seed. */

/** Gives a whole number from 0 on, below `end`. */
export type Random = (end: number) => number;

/** Park and Miller's generator. */
export function randomFrom(seed: number): Random {
  let state = (seed % 2147483646) + 1;
  return (end) => {
    state = (state * 48271) % 2147483647;
    return state % end;
  };
}
