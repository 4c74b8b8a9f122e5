/** Text encoded: the examples of PS3.5 Annexes H to K, byte by byte, and that what is encoded is decoded again. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTextDecoder } from "../../server/dicom/charset.ts";
import { createTextEncoder } from "../../server/dicom/charset-encode.ts";
import { graphicSets, termsByRegistration } from "../../server/dicom/charset-terms.ts";
import { type CharsetExample, charsetExamples } from "../support/charset-examples.ts";

const encode = (terms: readonly string[], text: string, vr = "PN") =>
  createTextEncoder(terms)?.(text, vr)?.toString("latin1");

describe("charset-encode", () => {
  const examples: readonly CharsetExample[] = [
    // The two texts of several lines say again in each line what holds in it, which is not needed.
    ...charsetExamples.filter(([, , , , vr]) => vr === undefined),
    ["H.3.1 misplaced", ["ISO 2022 IR 87"], "=\x1b$B;3ED\x1b(B", "=山田"],
    ["Greek and Latin", ["ISO 2022 IR 100", "ISO 2022 IR 126"], "M\xfcller \x1b-F\xe1\x1b-A^\xfc", "Müller α^ü"],
    ["a blank within two-byte text", ["", "ISO 2022 IR 87"], "\x1b$B;3\x1b(B \x1b$BED\x1b(B", "山 田", "LO"],
    ["line ends", ["", "ISO 2022 IR 87"], "\x1b$B;3\x1b(B\r\n\x1b$BED\x1b(B", "山\r\n田", "LT"],
  ];
  for (const [section, terms, encoded, text, vr] of examples) {
    it(`writes ${section}`, () => {
      assert.equal(encode(terms, text, vr), encoded);
      assert.equal(createTextDecoder(terms).decode(Buffer.from(encoded, "latin1"), vr ?? "PN"), text);
    });
  }

  it("gives back every character of every set, alone and by code extensions", () => {
    const first = Array.from({ length: 0xffe0 - 0xa0 }, (_, index) => String.fromCharCode(0xa0 + index)).filter(
      (character) => character.isWellFormed(),
    );
    for (const [registration, term] of termsByRegistration) {
      const isPair = term.whole === undefined && term.g1 !== undefined && graphicSets[term.g1].size === 2;
      const sets = isPair ? [["", `ISO 2022 IR ${registration}`]] : [[`ISO_IR ${registration}`]];
      if (term.whole === undefined) sets.push(["ISO 2022 IR 13", `ISO 2022 IR ${registration}`]);
      for (const terms of sets) {
        const encoder = createTextEncoder(terms);
        const decoder = createTextDecoder(terms);
        let held = 0;
        for (const character of first) {
          const bytes = encoder?.(`a${character}^b`, "PN");
          if (!bytes) continue;
          held += 1;
          assert.equal(decoder.decode(bytes, "PN"), `a${character}^b`, `${terms.join("\\")} ${character}`);
        }
        const least = registration === 6 ? 0 : isPair ? 5000 : 40;
        assert.ok(held >= least, `${terms.join("\\")} holds ${held}`);
      }
    }
  });

  it("writes every character in GB18030, and those of two bytes in GBK", () => {
    const encoder = createTextEncoder(["GB18030"]);
    const decoder = createTextDecoder(["GB18030"]);
    for (let codePoint = 1; codePoint < 0x110000; codePoint += codePoint > 0xffff ? 997 : 1) {
      if (codePoint >= 0xd800 && codePoint <= 0xf8ff) continue;
      const character = String.fromCodePoint(codePoint);
      const bytes = encoder?.(character, "LT");
      assert.ok(bytes, `U+${codePoint.toString(16)}`);
      assert.equal(decoder.decode(bytes, "LT"), character, `U+${codePoint.toString(16)}`);
    }
    assert.equal(encode(["GBK"], "한"), undefined);
    assert.equal(encode(["GB18030"], "한"), "\x836\x843");
  });

  it("refuses what the character set lacks, and knows no other terms", () => {
    assert.equal(encode(["ISO_IR 100"], "Ωmega"), undefined);
    assert.equal(encode([], "Müller"), undefined);
    assert.equal(encode(["ISO_IR 13"], "山"), undefined);
    assert.equal(encode(["ISO_IR 13"], "100¥", "LO"), undefined, "the yen sign would part values");
    assert.equal(encode(["ISO_IR 13"], "100¥", "LT"), "100\\");
    assert.equal(encode(["ISO_IR 13"], "~"), undefined, "JIS X 0201 has an overline there");
    assert.equal(createTextEncoder(["ISO_IR 999"]), undefined);
    assert.equal(encode(["ISO_IR 100"], "Ä\\B", "CS"), "Ä\\B", "a VR that it does not govern");
  });
});
