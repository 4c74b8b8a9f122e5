/** Tells the names of variables that look like those of settings from others. */

/** A name that is none, and the one that was probably meant. */
export interface MistypedName {
  readonly name: string;
  readonly meant: string;
}

/** Names that other programs read, and that are close to one of ours. */
const others = new Set(["HTTPS_HOST", "HTTPS_PORT", "DATABASE_PORT"]);

/**
 * The least number of letters put in, left out, replaced or swapped with their neighbour that makes one text of the
 * other (optimal string alignment).
 */
function editDistance(one: string, other: string): number {
  let before: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (let row = 1; row <= one.length; row += 1) {
    const current = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const same = one[row - 1] === other[column - 1];
      const swapped = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (before[column - 2] ?? 0) + 1 : Infinity,
      );
    }
    [before, last] = [last, current];
  }
  return last[other.length] ?? 0;
}

/**
 * The edits from a setting to `name`: one or two, two only when the first letter is the same, or SMTP_PORT would be
 * taken for HTTP_PORT. Infinity when there are more.
 */
function distanceOf(name: string, setting: string): number {
  if (Math.abs(name.length - setting.length) > 2) return Infinity;
  const distance = editDistance(name.toUpperCase(), setting);
  const most = name[0]?.toUpperCase() === setting[0] ? 2 : 1;
  return distance <= most ? distance : Infinity;
}

/** Those of `names` that are no setting but nearly one, in order, regardless of case. */
export function mistypedNames(names: readonly string[], settings: readonly string[]): MistypedName[] {
  return names.flatMap((name) => {
    if (settings.includes(name) || others.has(name)) return [];
    const [nearest] = settings
      .map((meant) => ({ meant, distance: distanceOf(name, meant) }))
      .filter(({ distance }) => distance !== Infinity)
      .toSorted((one, other) => one.distance - other.distance);
    return nearest === undefined ? [] : [{ name, meant: nearest.meant }];
  });
}
