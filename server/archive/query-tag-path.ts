/** The path of a query tag: tags joined by dots, through sequences, private ones by their creator. */
import { entryOfKeyword, entryOfTag, tagHex } from "../dicom/dictionary.ts";
import { ArchiveError } from "../errors.ts";

/** Where an attribute stands. Its canonical form is what the catalog keeps and answers tell. */
export interface TagPath {
  /** `00101010`, `00400275.00400009`, `0019xx07`: of a private tag the block is not told, since it differs by data set. */
  readonly path: string;
  /** Keywords joined by dots where PS3.6 has all of them. */
  readonly keyword?: string;
  /** VR of the last tag where PS3.6 has it. */
  readonly vr?: string;
  readonly hasPrivate: boolean;
}

/** Sequences within sequences at most. */
const deepestPath = 8;
const tagForm = /^[0-9A-F]{8}$/;
/** Odd groups, but for those that PS3.5 7.1 forbids; below element 1000 stand the creators (PS3.5 7.8.1). */
const privateForm = /^(?!000[1357]|FFFF)([0-9A-F]{3}[13579BDF])(XX|[1-9A-F][0-9A-F])([0-9A-F]{2})$/;

const blockForm = /^(?!000[1357]|FFFF)([0-9A-F]{3}[13579BDF])[1-9A-F][0-9A-F]([0-9A-F]{2})$/;

interface Step {
  readonly path: string;
  readonly keyword?: string;
  readonly vr?: string;
  readonly isPrivate: boolean;
}

/**
 * Parses keywords and tags joined by dots. The block of a private tag may be written as xx.
 * @param name what the text is, for the message
 * @throws ArchiveError `invalid-request`
 */
export function parseTagPath(text: string, name: string): TagPath {
  const steps = text.split(".");
  if (steps.length > deepestPath)
    throw new ArchiveError("invalid-request", `${name} has more than ${deepestPath} tags.`);
  const parsed = steps.map((step) => parseStep(step, name));
  parsed.forEach(({ vr, keyword, path }, index) => {
    if (index === parsed.length - 1 || vr === undefined || vr === "SQ") return;
    throw new ArchiveError("invalid-request", `${name} goes through ${keyword ?? path}, which is no sequence.`);
  });
  const keywords = parsed.flatMap(({ keyword }) => keyword ?? []);
  const vr = parsed.at(-1)?.vr;
  return {
    path: parsed.map(({ path }) => path).join("."),
    ...(keywords.length === parsed.length && { keyword: keywords.join(".") }),
    ...(vr !== undefined && { vr }),
    hasPrivate: parsed.some(({ isPrivate }) => isPrivate),
  };
}

function parseStep(text: string, name: string): Step {
  const digits = text.toUpperCase();
  const parts = privateForm.exec(digits);
  if (parts) return { path: `${parts[1]}xx${parts[3]}`, isPrivate: true };
  const entry = entryOfKeyword(text) ?? (tagForm.test(digits) ? entryOfTag(Number.parseInt(digits, 16)) : undefined);
  if (entry) return { path: tagHex(entry.tag), keyword: entry.keyword, vr: entry.vr, isPrivate: false };
  const shown = JSON.stringify(text.slice(0, 64));
  throw new ArchiveError(
    "invalid-request",
    `${name} names ${shown}, which is neither a keyword nor a tag of PS3.6 nor a private tag.`,
  );
}

/** Tags of a path in canonical form: of private ones without their block. */
export function canonicalPath(tags: readonly string[]): string {
  return tags.map((tag) => tag.replace(blockForm, "$1xx$2")).join(".");
}
