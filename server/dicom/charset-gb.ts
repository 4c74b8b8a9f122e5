/** GB 18030 and GBK, encoded: the tables of the decoder, inverted (PS3.5 Annex J). */
import { replacement, textDecoder } from "./charset-tables.ts";

/** The bytes of each character of the basic plane, as one number; made once, in some milliseconds. */
let inverse: ReadonlyMap<string, number> | undefined;

/** The bytes of `text`; undefined when GBK, which has no characters of four bytes, lacks one. GB 18030 has all. */
export function encodeGb(text: string, encoding: "gb18030" | "gbk"): Buffer | undefined {
  inverse ??= invert();
  const bytes: number[] = [];
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0;
    const code = codePoint < 0x80 ? codePoint : (inverse.get(character) ?? supplementary(codePoint));
    if (code === undefined || (encoding === "gbk" && code > 0xffff)) return undefined;
    if (code > 0xffff) bytes.push(code >>> 24, (code >>> 16) & 0xff);
    if (code > 0xff) bytes.push((code >>> 8) & 0xff);
    bytes.push(code & 0xff);
  }
  return Buffer.from(bytes);
}

/** Characters beyond the basic plane follow each other from 90 30 81 30 on. */
function supplementary(codePoint: number): number | undefined {
  return codePoint > 0xffff ? fourBytes(codePoint - 0x10000 + (0x90 - 0x81) * 10 * 126 * 10) : undefined;
}

/** The four bytes of the place `index` among those that have four, as one number. */
function fourBytes(index: number): number {
  const fourth = 0x30 + (index % 10);
  const third = 0x81 + (Math.floor(index / 10) % 126);
  const second = 0x30 + (Math.floor(index / 1260) % 10);
  const first = 0x81 + Math.floor(index / 12_600);
  return first * 0x1000000 + second * 0x10000 + third * 0x100 + fourth;
}

/** Places of four bytes that may hold characters of the basic plane: up to 84 31 A4 39. */
const fourByteCharacters = 39_420;

function invert(): ReadonlyMap<string, number> {
  const table = new Map<string, number>([[replacement, 0x8431a437]]);
  const decoder = textDecoder("gb18030");
  const add = (code: number, bytes: Buffer) => {
    const character = decoder.decode(bytes);
    if (character.length === 1 && character !== replacement && !table.has(character)) table.set(character, code);
  };
  const pair = Buffer.alloc(2);
  for (let first = 0x81; first <= 0xfe; first += 1) {
    for (let second = 0x40; second <= 0xfe; second += 1) {
      pair.writeUInt16BE(first * 0x100 + second);
      add(first * 0x100 + second, pair);
    }
  }
  const four = Buffer.alloc(4);
  for (let index = 0; index < fourByteCharacters; index += 1) {
    four.writeUInt32BE(fourBytes(index));
    add(fourBytes(index), four);
  }
  return table;
}
