/** Faults of the pinned OHIF build that Noctis repairs while it unpacks it: the smallest change, and where it is known. */

/** One fault. Take it out when a later build is pinned that does not have it. */
export interface Repair {
  /** The files of the build that may hold it. */
  readonly files: RegExp;
  /** Text that must stand exactly once in exactly one of the files. */
  readonly find: string;
  readonly replace: string;
}

/** The faults of the pinned version. */
export const repairs: readonly Repair[] = [
  {
    // VOI LUT Function (0028,1056), a text, is taken for a list: "S" of SIGMOID is then refused, and the image stays
    // black, as most mammograms do. https://github.com/cornerstonejs/cornerstone3D/issues/2844
    files: /^app\.bundle\.\w+\.js$/,
    find: "voiLutModule.voiLUTFunction[0])",
    replace: "[voiLutModule.voiLUTFunction].flat()[0])",
  },
];

/**
 * The files of the build that change, by name, with their new text.
 * @param names every file of the build
 * @param read gives the text of a file
 * @throws Error when a fault does not stand where it is expected: the build is another one than the repairs are for
 */
export async function repaired(
  names: readonly string[],
  read: (name: string) => Promise<string>,
  table: readonly Repair[] = repairs,
): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const { files, find, replace } of table) {
    let found = 0;
    for (const name of names.filter((each) => files.test(each))) {
      const parts = (texts.get(name) ?? (await read(name))).split(find);
      found += parts.length - 1;
      if (parts.length > 1) texts.set(name, parts.join(replace));
    }
    if (found !== 1) throw new Error(`The build holds ${found} times, not once, what is to be repaired: ${find}`);
  }
  return texts;
}
