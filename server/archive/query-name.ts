/** Names in query keys, literally (PS3.4 C.2.2.2.1.1, C.2.2.2.4): without regard to case, group by group. */
import type { Match } from "../../storage/catalog-match.ts";
import { ArchiveError } from "../errors.ts";

/** Characters of a name to look for: PostgreSQL refuses regular expressions that are too complex. */
const longestName = 1024;

/**
 * A name matches when one of its component groups does, or, when the key has several, when each of them does.
 * @throws ArchiveError `invalid-query` when it is too long
 */
export function nameMatch(name: string, value: string): Match {
  if (value.length > longestName) {
    throw new ArchiveError("invalid-query", `${name} has more than ${longestName} characters.`);
  }
  const groups = value.split("=").map((group) => group.replace(/(?<![\^ ])[\^ ]+$/, ""));
  const patterns = groups.map((group) => (group === "" ? "[^=]*" : `${namePattern(group)}[\\^ ]*`));
  return { kind: "name", regularExpression: `${groups.length > 1 ? "^" : ""}=${patterns.join("=")}=` };
}

function namePattern(group: string): string {
  return group
    .replaceAll(/[\\.^$+()[\]{}|]/g, String.raw`\$&`)
    .replaceAll(/\*+/g, "[^=]*")
    .replaceAll("?", "[^=]");
}
