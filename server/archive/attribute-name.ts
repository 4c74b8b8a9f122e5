/** Names of attributes in queries: a keyword or a tag, as clients write them. */
import { entryOfKeyword, entryOfTag, tagHex } from "../dicom/dictionary.ts";
import { ArchiveError } from "../errors.ts";

/**
 * The tag (eight upper-case hexadecimal digits) that `name` says (PS3.18 8.3.4.1).
 * @param parameter the query parameter in which it stands, to be named in the error
 * @throws ArchiveError `invalid-query`
 */
export function tagOf(name: string, parameter: string): string {
  if (/^[0-9A-Fa-f]{8}$/.test(name)) return name.toUpperCase();
  // The block of a private tag is not the same in every data set.
  if (/^[0-9A-Fa-f]{3}[13579BDFbdf][xX]{2}[0-9A-Fa-f]{2}$/.test(name)) return name.toUpperCase().replace("XX", "xx");
  const entry = entryOfKeyword(name);
  if (entry) return tagHex(entry.tag);
  throw new ArchiveError(
    "invalid-query",
    `${shown(name)}${name === parameter ? "" : ` (${parameter.slice(0, 64)})`} is neither the keyword nor the tag of an attribute.`,
  );
}

/** The keyword of a tag where it has one, for people. */
export function keywordOf(tag: string): string {
  return entryOfTag(Number.parseInt(tag, 16))?.keyword ?? tag;
}

/** The keywords of a path, joined by dots. */
export function pathInWords(path: readonly string[]): string {
  return path.map(keywordOf).join(".");
}

/** What a client wrote, quoted and cut for a sentence. */
export function shown(text: string): string {
  return JSON.stringify(text.slice(0, 64));
}
