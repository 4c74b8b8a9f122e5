/** Text in Specific Character Set (0008,0005) as Unicode: PS3.5 6.1 and PS3.3 C.12.1.1.2. */
import { isAscii, isUtf8 } from "node:buffer";
import { replacement, singleByteTable, textDecoder } from "./charset-tables.ts";
import {
  characterSetTerm,
  escapeSequences,
  graphicSets,
  type CharacterSetTerm,
  type GraphicSet,
  type GraphicSetName,
} from "./charset-terms.ts";
import { vrRow } from "./vr.ts";

/** Decodes the text of one data set (or item). Never throws: what cannot be decoded becomes U+FFFD. */
export interface DicomTextDecoder {
  /**
   * The text of a whole value field of `vr`, padding and delimiters included. Give it the field before splitting: in
   * GB18030, GBK and ISO 2022 IR 87 the bytes of `\`, `^` and `=` also occur inside characters. Split the answer with
   * `splitValues`. A VR that Specific Character Set does not govern is decoded as Latin-1.
   */
  decode(bytes: Uint8Array, vr: string): string;
  /** The values of Specific Character Set that no table knows, as they were given. */
  readonly unknownTerms: readonly string[];
}

const escape = 0x1b;

/** What G0 and G1 hold. */
interface Designations {
  readonly g0: GraphicSetName;
  readonly g1: GraphicSetName;
}

/**
 * A decoder for the values of Specific Character Set (0008,0005), already split at the backslash; none means the
 * default repertoire. Tolerated: other spellings of a term; a term without code extensions among others; escape
 * sequences of sets that no term announces, and G1 characters whose escape sequence is missing (the first set that a
 * term offers for G1 is taken). Where no term offers a set for G1, or the first one is unknown, bytes above 0x7F are
 * UTF-8 if the whole value is valid UTF-8, else Latin-1.
 */
export function createTextDecoder(specificCharacterSet: readonly string[]): DicomTextDecoder {
  const terms = specificCharacterSet.map((text) => characterSetTerm(text));
  const unknownTerms = specificCharacterSet.filter((_, index) => terms[index] === undefined);
  const decodeField = fieldDecoder(terms);
  return {
    unknownTerms,
    decode(bytes, vr) {
      const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      return vrRow(vr).localised ? decodeField(buffer, vr) : buffer.toString("latin1");
    },
  };
}

/**
 * The values of a decoded field of `vr`, split at the backslash where the VR may have several (PS3.5 6.2); an empty
 * field has none. Padding stays.
 */
export function splitValues(text: string, vr: string): string[] {
  if (text === "") return [];
  return vrRow(vr).splits ? text.split("\\") : [text];
}

type FieldDecoder = (bytes: Buffer, vr: string) => string;

function fieldDecoder(terms: readonly (CharacterSetTerm | undefined)[]): FieldDecoder {
  const [first] = terms;
  if (first?.whole !== undefined) return wholeDecoder(first.whole);
  const offered = terms.flatMap((term) => (term?.whole === undefined && term?.g1 !== undefined ? [term.g1] : []));
  const firstKnown = terms.length === 0 || first !== undefined;
  const initial: Designations = {
    g0: first?.g0 ?? "ISO-IR 6",
    g1: (first === undefined ? undefined : first.g1) ?? offered[0] ?? "ISO-IR 100",
  };
  // A whole encoding may not stand among others (C.12.1.1.2); one that does is believed when the bytes agree with it.
  const misplaced = terms.find((term) => term?.whole !== undefined)?.whole;
  const guess = misplaced ?? (firstKnown && offered.length > 0 ? undefined : "utf-8");
  const guessDecoder = guess === undefined || guess === "utf-8" ? undefined : wholeDecoder(guess);
  return (bytes, vr) => {
    const escapes = bytes.includes(escape);
    if (!escapes && initial.g0 === "ISO-IR 6" && isAscii(bytes)) return bytes.toString("latin1");
    if (!escapes && guess === "utf-8" && isUtf8(bytes)) return bytes.toString("utf8");
    const guessed = escapes ? undefined : guessDecoder?.(bytes, vr);
    if (guessed !== undefined && !guessed.includes(replacement)) return guessed;
    if (!escapes && initial.g0 === "ISO-IR 6" && initial.g1 === "ISO-IR 100") return bytes.toString("latin1");
    return new CodeExtensionDecoder(bytes, vr, initial).decode();
  };
}

function wholeDecoder(encoding: "utf-8" | "gb18030" | "gbk"): FieldDecoder {
  if (encoding === "utf-8") return (bytes) => bytes.toString("utf8");
  return (bytes) => (isAscii(bytes) ? bytes.toString("latin1") : textDecoder(encoding).decode(bytes));
}

/**
 * PS3.5 6.1.2.5.3: at each of these the code elements go back to what the first value of Specific Character Set says.
 * While G0 holds a set of two bytes a character, the delimiters cannot be told from its characters; only the control
 * characters can.
 */
const controlDelimiters: ReadonlySet<number> = new Set([0x09, 0x0a, 0x0c, 0x0d]);
const backslash = 0x5c;
const nameDelimiters: ReadonlySet<number> = new Set([0x3d, 0x5e]);

/** Decodes one value field that uses code extensions (ISO/IEC 2022, PS3.5 6.1.2.5). */
class CodeExtensionDecoder {
  readonly #bytes: Buffer;
  readonly #initial: Designations;
  readonly #splits: boolean;
  readonly #isName: boolean;
  #g0: GraphicSetName;
  #g1: GraphicSetName;
  #at = 0;

  constructor(bytes: Buffer, vr: string, initial: Designations) {
    this.#bytes = bytes;
    this.#initial = initial;
    this.#splits = vrRow(vr).splits;
    this.#isName = vr === "PN";
    this.#g0 = initial.g0;
    this.#g1 = initial.g1;
  }

  decode(): string {
    let text = "";
    while (this.#at < this.#bytes.length) text += this.#next();
    return text;
  }

  #next(): string {
    const byte = this.#byte(this.#at);
    if (byte === escape) return this.#escape();
    if (byte <= 0x20 || byte === 0x7f) return this.#control(byte);
    if (byte >= 0x80) return graphicSets[this.#g1].size === 2 ? this.#pairs(this.#g1, 0x80) : this.#single(this.#g1);
    if (graphicSets[this.#g0].size === 2) return this.#pairs(this.#g0, 0);
    if (this.#isDelimiter(byte)) return this.#delimiter(byte);
    return this.#single(this.#g0);
  }

  /** The byte at `index`; 0, which is in no graphic set, past the end. */
  #byte(index: number): number {
    return this.#bytes[index] ?? 0;
  }

  #escape(): string {
    for (const length of [2, 3]) {
      const designation = escapeSequences.get(this.#bytes.toString("latin1", this.#at + 1, this.#at + 1 + length));
      if (designation === undefined) continue;
      if (designation.area === "g0") this.#g0 = designation.set;
      else this.#g1 = designation.set;
      this.#at += 1 + length;
      return "";
    }
    this.#at += 1;
    return replacement;
  }

  #control(byte: number): string {
    if (controlDelimiters.has(byte)) return this.#delimiter(byte);
    this.#at += 1;
    return String.fromCharCode(byte);
  }

  #isDelimiter(byte: number): boolean {
    return (this.#splits && byte === backslash) || (this.#isName && nameDelimiters.has(byte));
  }

  #delimiter(byte: number): string {
    this.#g0 = this.#initial.g0;
    this.#g1 = this.#initial.g1;
    this.#at += 1;
    return String.fromCharCode(byte);
  }

  #single(set: GraphicSetName): string {
    const character = singleByteTable(set)[this.#byte(this.#at)];
    this.#at += 1;
    return character ?? replacement;
  }

  /** A run of characters of two bytes; `half` is 0x80 for a set in G1, 0 for one in G0. */
  #pairs(set: GraphicSetName, half: 0 | 0x80): string {
    const { label, prefix }: GraphicSet = graphicSets[set];
    const encoded: number[] = [];
    while (isPair(this.#byte(this.#at), this.#byte(this.#at + 1), half)) {
      if (prefix !== undefined) encoded.push(prefix);
      encoded.push(this.#byte(this.#at) | 0x80, this.#byte(this.#at + 1) | 0x80);
      this.#at += 2;
    }
    if (encoded.length > 0) return textDecoder(label).decode(Uint8Array.from(encoded));
    this.#at += 1;
    return replacement;
  }
}

/** Whether two bytes may be one character of a set of two bytes; `half` as above. */
function isPair(first: number, second: number, half: 0 | 0x80): boolean {
  if (half === 0) return first > 0x20 && first < 0x7f && second > 0x20 && second < 0x7f;
  return first > 0x80 && first < 0xff && second > 0x80 && second < 0xff;
}
