/** The keys of the object store cut into stretches, so that any archive is verified in bounded memory. */
import type { KeyRange } from "../../storage/catalog-objects.ts";

/** Neighbouring keys that are looked at together. */
export interface Stretch extends KeyRange {
  /** What a listing asks for; it may give keys beyond the range, too. */
  readonly prefix: string;
}

/** Objects in one stretch, about. */
const objectsAtOnce = 20_000;

/** What is kept beside instances. Anything else in the store is none of the archive's, and is left alone. */
const furtherPrefixes = ["quarantine/", "spool/"] as const;

/** How many hexadecimal digits the stretches of an archive of so many objects begin with. */
export function digitsFor(objects: number, atOnce = objectsAtOnce): number {
  return Math.max(0, Math.ceil(Math.log2(objects / atOnce) / 4));
}

/** Every stretch that is not wholly at or below `position`, in the order of their keys. Keys are `3f/3fa2...`. */
export function* stretches(digits: number, position: string): Generator<Stretch> {
  const hexadecimal = Array.from({ length: digits === 0 ? 0 : 16 ** digits }, (_, index) =>
    index.toString(16).padStart(digits, "0"),
  );
  const all: Stretch[] = [
    ...(digits === 0 ? [{ prefix: "", from: "0", to: "g" }] : []),
    ...hexadecimal.map((begin) => stretchOf(digits > 2 ? `${begin.slice(0, 2)}/${begin}` : begin)),
    ...furtherPrefixes.map(stretchOf),
  ];
  for (const stretch of all) if (stretch.to > position) yield stretch;
}

function stretchOf(prefix: string): Stretch {
  const last = String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
  return { prefix, from: prefix, to: prefix.slice(0, -1) + last };
}

/** How much of all keys is at or below `position`, from 0 to 1: keys are random, so this much of the work is done. */
export function shareOf(position: string): number {
  const [first = "", second] = position.split("/");
  if (first >= "g") return 1;
  const digits = (second ?? first).slice(0, 8);
  // A digit behind `f` and the like: the end of a stretch.
  return Array.from(digits).reduce((sum, digit, index) => sum + valueOf(digit) / 16 ** (index + 1), 0);
}

function valueOf(digit: string): number {
  const value = Number.parseInt(digit, 16);
  if (!Number.isNaN(value)) return value;
  return digit === "g" ? 16 : 10;
}
