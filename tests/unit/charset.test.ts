/** Specific Character Set: the examples of PS3.5 Annexes H to K, every Defined Term, and the faults that are tolerated. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTextDecoder, splitValues } from "../../server/dicom/charset.ts";
import { charsetExamples } from "../support/charset-examples.ts";

/** Bytes from text in which every character is one byte. */
const bytes = (latin1: string): Buffer => Buffer.from(latin1, "latin1");
const decode = (terms: readonly string[], latin1: string, vr = "PN"): string =>
  createTextDecoder(terms).decode(bytes(latin1), vr);

describe("charset", () => {
  describe("the examples of PS3.5", () => {
    for (const [section, terms, encoded, text, vr] of charsetExamples) {
      it(`${section}: ${terms.join("\\")}`, () => assert.equal(decode(terms, encoded, vr), text));
    }
  });

  describe("every single-byte term", () => {
    /** Number in the register, a byte string of its upper half, its text, and the escape sequence (Table C.12-3). */
    const sets: readonly [registration: number, encoded: string, text: string, escape: string][] = [
      [100, "Buc^J\xe9r\xf4me", "Buc^Jérôme", "\x1b-A"],
      [101, "Wa\xb3\xeasa", "Wałęsa", "\x1b-B"],
      [109, "\xa6a\xfddo", "Ĥaŭdo", "\x1b-C"],
      [110, "\xd9da \xb9", "Ųda š", "\x1b-D"],
      [126, "\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "Διονυσιος", "\x1b-F"],
      [127, "\xe2\xc8\xc7\xe6\xea^\xe4\xe6\xd2\xc7\xd1", "قباني^لنزار", "\x1b-G"],
      [138, "\xf9\xf8\xe5\xef^\xe3\xe1\xe5\xf8\xe4", "שרון^דבורה", "\x1b-H"],
      [144, "\xbb\xee\xdace\xdc\xd1yp\xd3", "Люкceмбypг", "\x1b-L"],
      [148, "\xc7a\xf0r\xfd \xde\xdd", "Çağrı Şİ", "\x1b-M"],
      [166, "\xb9\xd2\xc2^\xca\xc1\xaa\xd2\xc2", "นาย^สมชาย", "\x1b-T"],
      [203, "\xa4\xbd^\xbe\xe9", "€œ^Ÿé", "\x1b-b"],
      [13, "\xd4\xcf\xc0\xde^\xc0\xdb\xb3", "ﾔﾏﾀﾞ^ﾀﾛｳ", "\x1b)I"],
    ];
    for (const [registration, encoded, text, escape] of sets) {
      it(`ISO_IR ${registration}, without and with code extensions`, () => {
        assert.equal(decode([`ISO_IR ${registration}`], encoded), text);
        assert.equal(decode([`ISO 2022 IR ${registration}`, "ISO 2022 IR 87"], encoded), text);
        const second = ["", `ISO 2022 IR ${registration}`];
        assert.equal(
          decode(
            second,
            encoded.replaceAll(/[^^]+/g, (component) => escape + component),
          ),
          text,
        );
        assert.deepEqual(createTextDecoder(second).unknownTerms, []);
      });
    }

    it("reads 0x80 to 0x9F as control characters, never as a Windows code page", () => {
      for (const term of ["ISO_IR 100", "ISO_IR 148", "ISO_IR 166", "ISO_IR 101"]) {
        assert.equal(decode([term], "a\x80\x9f\xa0", "LO"), "a\u0080\u009f\u00a0");
      }
    });

    it("reads the yen sign and the overline of ISO-IR 14, but keeps the delimiter", () => {
      assert.equal(decode(["ISO_IR 13"], "a\\b~", "LO"), "a\\b‾");
      assert.equal(decode(["ISO_IR 13"], "a\\b~", "LT"), "a¥b‾");
    });

    it("makes a byte that the set does not have U+FFFD", () => {
      assert.equal(decode(["ISO_IR 127"], "a\xa1b", "LO"), "a\ufffdb");
      assert.equal(decode(["ISO_IR 13"], "a\xf0b", "LO"), "a\ufffdb");
    });
  });

  describe("code extensions", () => {
    it("reads JIS X 0212 (ISO 2022 IR 159)", () => {
      assert.equal(decode(["", "ISO 2022 IR 87", "ISO 2022 IR 159"], "\x1b$(D0!m;\x1b$B;3\x1b(B.", "LO"), "丂鼺山.");
    });

    it("goes back to the first value's sets at \\ ^ = and control delimiters, and only there", () => {
      const terms = ["ISO 2022 IR 100", "ISO 2022 IR 144"];
      assert.equal(decode(terms, "\x1b-L\xd0^\xe9=\x1b-L\xd0=\xe9\\\xe9"), "а^é=а=é\\é");
      assert.equal(decode(terms, "\x1b-L\xd0^\xd0=\xd0", "LO"), "а^а=а");
      assert.equal(decode(terms, "\x1b-L\xd0\\\xe9", "LO"), "а\\é");
      assert.equal(
        decode(terms, "\x1b-L\xd0\\\xd0\r\xe9\x1b-L\xd0\n\xe9\x1b-L\xd0\f\xe9\x1b-L\xd0\t\xe9", "UT"),
        "а\\а\réа\néа\féа\té",
      );
      assert.equal(decode(["", "ISO 2022 IR 87"], "\x1b$B;3\r\n;3", "ST"), "山\r\n;3");
    });

    it("does not take a byte inside a character of two bytes for a delimiter", () => {
      assert.equal(decode(["", "ISO 2022 IR 87"], "\x1b$B$^%=%\\\x1b(B^A"), "まソボ^A");
      const text = createTextDecoder(["GB18030"]).decode(Buffer.from([0x81, 0x5c, 0x5c, 0x81, 0x5e]), "PN");
      assert.deepEqual(splitValues(text, "PN"), ["乗", "乛"]);
    });

    it("switches within one value between three scripts", () => {
      assert.equal(
        decode(
          ["ISO 2022 IR 6", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 126"],
          "A\x1b$B;3\x1b(BB\x1b$)C\xc8\xabC\x1b-F\xc4",
          "LO",
        ),
        "A山B홍CΔ",
      );
    });

    it("makes what is broken U+FFFD and goes on", () => {
      const terms = ["", "ISO 2022 IR 87", "ISO 2022 IR 149"];
      assert.equal(decode(terms, "a\x1b", "LO"), "a\ufffd");
      assert.equal(decode(terms, "a\x1b$", "LO"), "a\ufffd$");
      assert.equal(decode(terms, "a\x1b%zb", "LO"), "a\ufffd%zb");
      assert.equal(decode(terms, "\x1b$B;3;\x1b(BA", "LO"), "山\ufffdA");
      assert.equal(decode(terms, "\x1b$)C\xb1\xe6\xb5", "LO"), "길\ufffd");
      assert.equal(decode(terms, "\x1b$)C\xb5^A", "PN"), "\ufffd^A");
    });
  });

  describe("encodings of the whole value", () => {
    it("UTF-8 with four bytes a character, and with invalid bytes", () => {
      assert.equal(decode(["ISO_IR 192"], "Zo\xc3\xab^\xf0\xa0\xae\xb7"), "Zoë^𠮷");
      assert.equal(decode(["ISO_IR 192"], "a\xe9b\xc3"), "a\ufffdb\ufffd");
    });

    it("GB18030 with four bytes a character, and with invalid bytes", () => {
      assert.equal(decode(["GB18030"], "\x95\x32\x82\x36"), "𠀀");
      assert.match(decode(["GB18030"], "a\xff\xffb", "LO"), /^a\ufffd+b$/);
    });

    it("splits after decoding, only where the VR has several values", () => {
      assert.deepEqual(splitValues("a\\b", "LO"), ["a", "b"]);
      assert.deepEqual(splitValues("a\\b", "LT"), ["a\\b"]);
      assert.deepEqual(splitValues("a\\", "CS"), ["a", ""]);
      assert.deepEqual(splitValues("", "LO"), []);
    });
  });

  describe("what is tolerated", () => {
    it("other spellings of a term", () => {
      for (const term of [
        "ISO-IR 100",
        "iso_ir 100",
        "ISO 2022 IR 100",
        "ISO_IR_100",
        "ISO IR 100 ",
        "ISO_2022_IR_100",
        "ISO_IR100",
      ]) {
        const decoder = createTextDecoder([term]);
        assert.deepEqual([decoder.decode(bytes("J\xe9"), "LO"), decoder.unknownTerms], ["Jé", []], term);
      }
      for (const term of ["gb18030", "GB 18030", "ISO 2022 GB18030", "ISO 2022 GBK"]) {
        assert.deepEqual([decode([term], "\xcd\xf5"), createTextDecoder([term]).unknownTerms], ["王", []], term);
      }
    });

    it("a multi-byte set that stands first, with or without its escape sequences", () => {
      assert.equal(decode(["ISO 2022 IR 87"], "Yamada^Tarou=\x1b$B;3ED\x1b(B"), "Yamada^Tarou=山田");
      assert.equal(decode(["ISO 2022 IR 87"], "Yamada=\xbb\xb3\xc5\xc4"), "Yamada=山田");
      assert.equal(decode(["ISO 2022 IR 149"], "Hong=\xfb\xf3^\xd1\xce\xd4\xd7"), "Hong=洪^吉洞");
      assert.equal(decode(["ISO_IR 58"], "\xd5\xc5^\xd0\xa1\xb6\xab"), "张^小东");
    });

    it("an escape sequence that is not repeated after a delimiter", () => {
      assert.equal(decode(["", "ISO 2022 IR 149"], "Hong=\x1b$)C\xfb\xf3^\xd1\xce\xd4\xd7"), "Hong=洪^吉洞");
    });

    it("a term without code extensions among others", () => {
      assert.equal(decode(["ISO_IR 100", "ISO_IR 144"], "\xe9\x1b-L\xd0", "LO"), "éа");
      assert.equal(decode(["ISO_IR 6", "ISO 2022 IR 87"], "\x1b$B;3\x1b(B", "LO"), "山");
    });

    it("escape sequences that no term announces, JIS C 6226 and Katakana in G0 among them", () => {
      assert.equal(decode(["ISO_IR 100"], "\xe9\x1b$B;3\x1b(B", "LO"), "é山");
      assert.equal(decode([], "\x1b$@;3\x1b(J\x1b(IT\x1b(B", "LO"), "山ﾔ");
      assert.equal(decode([], "\x1b$(CH+\x1b$AUE\x1b(B", "LO"), "홍张");
    });

    it("UTF-8 and GB18030 among other terms, when the bytes agree", () => {
      assert.equal(decode(["ISO 2022 IR 100", "ISO_IR 192"], "J\xc3\xa9", "LO"), "Jé");
      assert.equal(decode(["ISO 2022 IR 100", "ISO_IR 192"], "J\xe9", "LO"), "Jé");
      assert.equal(decode(["", "GB18030"], "\xcd\xf5", "LO"), "王");
      assert.equal(decode(["ISO_IR 192", "ISO 2022 IR 87"], "J\xc3\xa9", "LO"), "Jé");
    });

    it("an unknown term, which is named", () => {
      const decoder = createTextDecoder(["ISO_IR 999"]);
      assert.deepEqual(decoder.unknownTerms, ["ISO_IR 999"]);
      assert.equal(decoder.decode(bytes("J\xc3\xa9"), "LO"), "Jé");
      assert.equal(decoder.decode(bytes("J\xe9"), "LO"), "Jé");
      assert.equal(decode(["UTF-8", "ISO 2022 IR 149"], "J\xc3\xa9", "LO"), "Jé");
      assert.equal(decode(["KSC", "ISO 2022 IR 149"], "\xb1\xe6", "LO"), "길");
      assert.deepEqual(createTextDecoder(["ISO 2022 IR 6", "windows-1252", "ISO 2022 IR 87"]).unknownTerms, [
        "windows-1252",
      ]);
    });

    it("bytes above 0x7F where only the default repertoire is named", () => {
      for (const terms of [[], [""], ["ISO_IR 6"], ["ISO 2022 IR 6", "ISO 2022 IR 6"]]) {
        assert.equal(decode(terms, "J\xc3\xa9", "LO"), "Jé");
        assert.equal(decode(terms, "J\xe9", "LO"), "Jé");
      }
    });
  });

  it("decodes a VR that the character set does not govern as Latin-1", () => {
    for (const vr of ["CS", "DA", "UI", "AE", "UR"]) assert.equal(decode(["ISO_IR 192"], "A\xc3\xa9 ", vr), "AÃ© ");
    for (const vr of ["SH", "LO", "ST", "LT", "UC", "UT", "PN"])
      assert.equal(decode(["ISO_IR 192"], "A\xc3\xa9 ", vr), "Aé ");
  });

  it("keeps ASCII, padding and delimiters as they are under every term", () => {
    const ascii = "Doe^John^^Dr. \\A=B ~";
    const terms = [6, 58, 87, 100, 101, 109, 110, 126, 127, 138, 144, 148, 149, 159, 166, 192, 203].map((n) => [
      `ISO_IR ${n}`,
    ]);
    for (const list of [...terms, ["GB18030"], ["GBK"], [], ["", "ISO 2022 IR 87"]]) {
      assert.equal(decode(list, ascii), ascii, list.join("\\"));
    }
  });

  it("decodes a view into a larger buffer, and never throws on random bytes", () => {
    const whole = Buffer.from("xxJ\xe9xx", "latin1");
    assert.equal(
      createTextDecoder(["ISO_IR 100"]).decode(new Uint8Array(whole.buffer, whole.byteOffset + 2, 2), "LO"),
      "Jé",
    );
    const alphabet = "\x1b$()-ABCDIJ@^=\\\r\n A\x80\x8f\xa1\xb1\xc8\xff";
    let seed = 7;
    const next = (limit: number): number => (seed = (seed * 1103515245 + 12345) % 2147483648) % limit;
    for (const terms of [
      ["", "ISO 2022 IR 87"],
      ["ISO 2022 IR 149"],
      ["ISO_IR 13"],
      ["GB18030"],
      ["ISO_IR 192"],
      ["no"],
    ]) {
      const decoder = createTextDecoder(terms);
      for (let round = 0; round < 300; round += 1) {
        const field = bytes(Array.from({ length: next(24) }, () => alphabet[next(alphabet.length)]).join(""));
        assert.equal(typeof decoder.decode(field, round % 2 === 0 ? "PN" : "LT"), "string");
      }
    }
  });
});
