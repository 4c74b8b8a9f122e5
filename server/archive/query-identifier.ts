/** Identifiers as queries (PS3.4 C.2.2.2, C.4.1.1.3.1): every attribute is asked for, and those with a value are matched. */
import { type DicomJson, isItem, type JsonAttribute } from "../dicom/json.ts";
import { textOfValues } from "../dicom/value-writer.ts";
import { ArchiveError } from "../errors.ts";
import { pathInWords } from "./attribute-name.ts";
import type { SearchLevel } from "./attributes.ts";
import { deepestField } from "./included-fields.ts";
import type { Query, QueryRequest } from "./query.ts";
import { neverMatched } from "./query-computed.ts";
import { checkedKey, isUniversal, type Key, type MatchingRules, mostKeys, zoneOf } from "./query-key.ts";
import { largestLimit } from "./query-paging.ts";
import { orderOf } from "./search-order.ts";

/** What two applications have agreed on (PS3.4 C.5.1.1). */
export type IdentifierRules = Omit<MatchingRules, "zone">;

/** An identifier that asks for what cannot be looked for. */
export class IdentifierFault extends ArchiveError {
  /** Tags of the attributes that are at fault, eight hexadecimal digits each; none when they are at fault together. */
  readonly offendingElements: readonly string[];

  constructor(message: string, offendingElements: readonly string[], cause?: unknown) {
    super("identifier-mismatch", message, { cause });
    this.offendingElements = offendingElements;
  }
}

/** Attributes that say what the identifier is; the door answers them. */
const ofTheIdentifier: ReadonlySet<string> = new Set([
  "00080005", // Specific Character Set
  "00080052", // Query/Retrieve Level
  "00080053", // Query/Retrieve View
  "00080054", // Retrieve AE Title
]);

const timezoneOffsetFromUtc = "00080201";

/** Newest first. */
const orders = {
  patient: orderOf("patient", []),
  study: orderOf("study", []),
  series: orderOf("series", []),
  instance: orderOf("instance", []),
} as const;

/**
 * The query that `identifier` is, made by `make`. Every match is answered, in the order of a search.
 * @throws IdentifierFault
 */
export async function readIdentifier(
  level: SearchLevel,
  identifier: DicomJson,
  rules: IdentifierRules,
  make: (request: QueryRequest) => Promise<Query>,
): Promise<Query> {
  const asked = new Asked();
  asked.add(identifier, []);
  const { keys, wanted } = asked;
  const paging = { order: orders[level], limit: largestLimit, offset: 0, count: false, limited: false };
  const request: QueryRequest = { keys, rules: { ...rules, zone: undefined }, paging, wanted, unasked: "nothing" };
  try {
    if (keys.length > mostKeys) throw new ArchiveError("invalid-query", `There are more than ${mostKeys} keys.`);
    const zone = zoneOf(keys.find(({ path }) => path.length === 1 && path[0] === timezoneOffsetFromUtc));
    return await make({ ...request, keys: keys.map((key) => checkedKey(key)), rules: { ...rules, zone } });
  } catch (error) {
    if (!(error instanceof ArchiveError) || error.code !== "invalid-query") throw error;
    throw new IdentifierFault(error.message, await offendersOf(request, make), error);
  }
}

/** The keys that are at fault each by itself. */
async function offendersOf(
  request: QueryRequest,
  make: (request: QueryRequest) => Promise<Query>,
): Promise<readonly string[]> {
  const offenders = new Set<string>();
  for (const key of request.keys.slice(0, mostKeys)) {
    try {
      if (key.path[0] === timezoneOffsetFromUtc) zoneOf(key);
      await make({ ...request, keys: [checkedKey(key)], wanted: [] });
    } catch (error) {
      if (!(error instanceof ArchiveError) || error.code !== "invalid-query") throw error;
      offenders.add(key.path[0] ?? "");
    }
  }
  return [...offenders];
}

/** What an identifier asks for. */
class Asked {
  readonly keys: Key[] = [];
  readonly wanted: (readonly string[])[] = [];

  add(dataSet: DicomJson, above: readonly string[]): void {
    for (const [tag, attribute] of Object.entries(dataSet)) {
      if (above.length === 0 ? ofTheIdentifier.has(tag) : tag === "00080005") continue;
      const path = [...above, tag];
      if (attribute.vr === "SQ") this.#sequence(path, attribute);
      else this.#attribute(path, attribute);
    }
  }

  /** PS3.4 C.2.2.2.6: one item, whose attributes are keys; without any the sequence is asked for as it is. */
  #sequence(path: readonly string[], { Value: [item, ...others] = [] }: JsonAttribute): void {
    const [tag = ""] = path;
    if (others.length > 0) throw new IdentifierFault(`${pathInWords(path)} has more than one item.`, [tag]);
    if (path.length > deepestField)
      throw new IdentifierFault(`${pathInWords(path)} lies in too many sequences.`, [tag]);
    if (isItem(item) && Object.keys(item).length > 0) this.add(item, path);
    else this.wanted.push(path);
  }

  #attribute(path: readonly string[], attribute: JsonAttribute): void {
    this.wanted.push(path);
    const value = textOf(attribute);
    const [tag = ""] = path;
    const isAsked = !neverMatched.has(tag) || (tag === timezoneOffsetFromUtc && path.length === 1);
    if (isAsked && !isUniversal({ value })) this.keys.push({ name: pathInWords(path), path, value });
  }
}

/** Values joined by backslash. What is of no known VR, as private attributes are in implicit VR, is taken for text. */
function textOf({ Value, InlineBinary }: JsonAttribute): string {
  if (InlineBinary === undefined) return textOfValues(Value ?? []);
  return Buffer.from(InlineBinary, "base64")
    .toString("utf8")
    .replace(/[\0 ]+$/, "");
}
