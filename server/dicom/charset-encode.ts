/** Unicode as text in Specific Character Set (0008,0005), where that has every character (PS3.5 6.1, PS3.3 C.12.1.1.2). */
import { encodeGb } from "./charset-gb.ts";
import { singleByteTable, textDecoder, replacement } from "./charset-tables.ts";
import {
  type CharacterSetTerm,
  characterSetTerm,
  escapeSequences,
  graphicSets,
  type GraphicSet,
  type GraphicSetName,
} from "./charset-terms.ts";
import { vrRow } from "./vr.ts";

/**
 * Encodes the text of a whole value field of `vr`, its values joined by backslash; undefined when the character set lacks
 * one of its characters. A VR that Specific Character Set does not govern is written in Latin-1.
 */
export type DicomTextEncoder = (text: string, vr: string) => Buffer | undefined;

/**
 * An encoder for the values of Specific Character Set, already split at the backslash; undefined when a term is unknown.
 * None means the default repertoire. Several terms use code extensions: the first one holds until an escape sequence says
 * otherwise, and again from each delimiter on (PS3.5 6.1.2.5.3).
 */
export function createTextEncoder(specificCharacterSet: readonly string[]): DicomTextEncoder | undefined {
  const encode = fieldEncoder(specificCharacterSet);
  if (encode === undefined) return undefined;
  return (text, vr) => (vrRow(vr).localised ? encode(text, vr) : Buffer.from(text, "latin1"));
}

function fieldEncoder(specificCharacterSet: readonly string[]): DicomTextEncoder | undefined {
  const terms: CharacterSetTerm[] = [];
  for (const text of specificCharacterSet.length === 0 ? [""] : specificCharacterSet) {
    const term = characterSetTerm(text);
    if (term === undefined) return undefined;
    terms.push(term);
  }
  const [first] = terms;
  if (first?.whole === "utf-8") return (text) => Buffer.from(text, "utf8");
  if (first?.whole !== undefined) {
    const { whole } = first;
    return (text) => asciiOf(text) ?? encodeGb(text, whole);
  }
  if (first === undefined) return undefined;
  // A set of two bytes a character may not stand first (Table C.12-4): it is brought by its escape sequence all the same.
  const isMisplaced = first.g1 !== undefined && graphicSets[first.g1].size === 2;
  const initial = isMisplaced ? { g0: first.g0 } : first;
  const sets = [...new Set(terms.flatMap((term) => (term.whole === undefined ? setsOf(term) : [])))];
  const offered = terms.length > 1 || isMisplaced ? sets : [];
  return (text, vr) =>
    (initial.g0 === "ISO-IR 6" ? asciiOf(text) : undefined) ??
    new CodeExtensionEncoder(vr, initial, offered).encode(text);
}

function setsOf({ g0, g1 }: Extract<CharacterSetTerm, { g0: unknown }>): GraphicSetName[] {
  return g1 === undefined ? [g0] : [g0, g1];
}

const ascii = /^[\0-\x7f]*$/;

/** The bytes of a text in the default repertoire (PS3.5 6.1.1); undefined when it goes beyond it. */
function asciiOf(text: string): Buffer | undefined {
  return ascii.test(text) ? Buffer.from(text, "latin1") : undefined;
}

/** How a set is put into G0 or G1: the first sequence of the table, which is that of the standard. */
const designations = new Map<GraphicSetName, { readonly area: "g0" | "g1"; readonly bytes: readonly number[] }>();
for (const [sequence, { area, set }] of escapeSequences) {
  if (!designations.has(set)) designations.set(set, { area, bytes: [0x1b, ...Buffer.from(sequence, "latin1")] });
}

/** Encodes one value field with the sets that a data set has. */
class CodeExtensionEncoder {
  readonly #splits: boolean;
  readonly #isName: boolean;
  readonly #initial: { readonly g0: GraphicSetName; readonly g1?: GraphicSetName };
  /** Those that escape sequences may bring. */
  readonly #offered: readonly GraphicSetName[];
  readonly #bytes: number[] = [];
  #g0: GraphicSetName;
  #g1: GraphicSetName | undefined;

  constructor(
    vr: string,
    initial: { readonly g0: GraphicSetName; readonly g1?: GraphicSetName },
    offered: readonly GraphicSetName[],
  ) {
    this.#splits = vrRow(vr).splits;
    this.#isName = vr === "PN";
    this.#initial = initial;
    this.#offered = offered;
    this.#g0 = initial.g0;
    this.#g1 = initial.g1;
  }

  encode(text: string): Buffer | undefined {
    for (const character of text) {
      if (this.#isDelimiter(character)) {
        this.#reset();
        this.#bytes.push(character.charCodeAt(0));
      } else if (character <= " " || character === "\x7f") {
        // A blank is in no set of two bytes a character.
        if (graphicSets[this.#g0].size === 2) this.#designate(this.#initial.g0);
        this.#bytes.push(character.charCodeAt(0));
      } else if (!this.#character(character)) return undefined;
    }
    this.#reset();
    return Buffer.from(this.#bytes);
  }

  #isDelimiter(character: string): boolean {
    if (character === "\\") return this.#splits;
    if (character === "^" || character === "=") return this.#isName;
    return character === "\t" || character === "\n" || character === "\f" || character === "\r";
  }

  /** Whether a set has it: those in use before those that an escape sequence must bring. */
  #character(character: string): boolean {
    const low = bytesOf(this.#g0, character, "g0", this.#splits);
    if (low !== undefined) return this.#push(low, 0);
    const high = this.#g1 === undefined ? undefined : bytesOf(this.#g1, character, "g1", this.#splits);
    if (high !== undefined) return this.#push(high, 0x80);
    for (const set of this.#offered) {
      const designation = designations.get(set);
      const bytes = designation && bytesOf(set, character, designation.area, this.#splits);
      if (bytes === undefined) continue;
      this.#designate(set);
      return this.#push(bytes, designation?.area === "g1" ? 0x80 : 0);
    }
    return false;
  }

  #push(bytes: readonly number[], half: 0 | 0x80): true {
    for (const byte of bytes) this.#bytes.push((byte & 0x7f) | half);
    return true;
  }

  #designate(set: GraphicSetName): void {
    const designation = designations.get(set);
    if (designation === undefined) return;
    this.#bytes.push(...designation.bytes);
    if (designation.area === "g0") this.#g0 = set;
    else this.#g1 = set;
  }

  /** What stands at the end of a value, and in front of a delimiter. Readers take G1 back by themselves when it was empty. */
  #reset(): void {
    const { g0, g1 } = this.#initial;
    if (this.#g0 !== g0) this.#designate(g0);
    if (this.#g1 !== g1 && g1 !== undefined) this.#designate(g1);
    this.#g0 = g0;
    this.#g1 = g1;
  }
}

/** The bytes of `character` in `set`, without the bit that tells G1; undefined when it cannot stand there. */
function bytesOf(
  set: GraphicSetName,
  character: string,
  area: "g0" | "g1",
  splits: boolean,
): readonly number[] | undefined {
  const isLower = set === "ISO-IR 6" || set === "ISO-IR 14";
  if (isLower !== (area === "g0" && graphicSets[set].size === 1)) return undefined;
  const bytes = tableOf(set).get(character);
  // The yen sign of JIS X 0201 stands where the backslash parts values.
  return splits && isLower && bytes?.[0] === 0x5c ? undefined : bytes;
}

const tables = new Map<GraphicSetName, ReadonlyMap<string, readonly number[]>>();

/** The bytes of every character of a set; made once. */
function tableOf(set: GraphicSetName): ReadonlyMap<string, readonly number[]> {
  const known = tables.get(set);
  if (known !== undefined) return known;
  const made = graphicSets[set].size === 1 ? tableOfBytes(set) : tableOfPairs(set);
  tables.set(set, made);
  return made;
}

function tableOfBytes(set: GraphicSetName): ReadonlyMap<string, readonly number[]> {
  const [from, to] = set === "ISO-IR 6" || set === "ISO-IR 14" ? [0x21, 0x7e] : [0xa0, 0xff];
  const table = new Map<string, readonly number[]>();
  singleByteTable(set).forEach((character, byte) => {
    if (byte >= from && byte <= to && character !== replacement) table.set(character, [byte]);
  });
  return table;
}

/** Rows of JIS X 0208 (PS3.5 6.1.2.5): WHATWG's table has more, of NEC and IBM, that other readers do not know. */
const jisRows = (row: number) => row <= 8 || (row >= 16 && row <= 84);

function tableOfPairs(set: GraphicSetName): ReadonlyMap<string, readonly number[]> {
  const { label, prefix }: GraphicSet = graphicSets[set];
  const table = new Map<string, readonly number[]>();
  for (let row = 1; row <= 94; row += 1) {
    if (set === "ISO-IR 87" && !jisRows(row)) continue;
    for (let cell = 1; cell <= 94; cell += 1) {
      const pair = [row + 0xa0, cell + 0xa0];
      const character = textDecoder(label).decode(Uint8Array.from(prefix === undefined ? pair : [prefix, ...pair]));
      // One code point: what is no pair is decoded as more, or as U+FFFD.
      const isOne = character.length === ((character.codePointAt(0) ?? 0) > 0xffff ? 2 : 1);
      if (character.includes(replacement) || !isOne || table.has(character)) continue;
      table.set(character, pair);
    }
  }
  return table;
}
