/** The characters of the graphic sets (PS3.3 C.12.1.1.2): decoders by WHATWG label, and tables of the sets of one byte. */
import { TextDecoder } from "node:util";
import { type GraphicSetName, graphicSets } from "./charset-terms.ts";

/** What a byte that is no character becomes. */
export const replacement = "\uFFFD";

const textDecoders = new Map<string, TextDecoder>();

/** The decoder of a WHATWG label; each is made once. */
export function textDecoder(label: string): TextDecoder {
  const known = textDecoders.get(label);
  if (known !== undefined) return known;
  const made = new TextDecoder(label);
  textDecoders.set(label, made);
  return made;
}

const singleByteTables = new Map<GraphicSetName, readonly string[]>();

/** The 256 characters of a set of one byte: the upper half is for G1, the lower for the same set in G0. Made once. */
export function singleByteTable(set: GraphicSetName): readonly string[] {
  const known = singleByteTables.get(set);
  if (known !== undefined) return known;
  const made = Array.from({ length: 256 }, (_, byte) => singleByteCharacter(set, byte));
  singleByteTables.set(set, made);
  return made;
}

function singleByteCharacter(set: GraphicSetName, byte: number): string {
  if (byte >= 0x80 && byte < 0xa0) return String.fromCharCode(byte);
  if (set === "ISO-IR 14" && byte === 0x5c) return "\u00A5";
  if (set === "ISO-IR 14" && byte === 0x7e) return "\u203E";
  if (set === "ISO-IR 6" || set === "ISO-IR 14") return byte < 0x80 ? String.fromCharCode(byte) : replacement;
  const upper = byte | 0x80;
  return set === "ISO-IR 100"
    ? String.fromCharCode(upper)
    : textDecoder(graphicSets[set].label).decode(Uint8Array.of(upper));
}
