/** The DICOM JSON Model (PS3.18 Annex F): every VR, empty values, numbers, names, bulk data. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { entryOfTag } from "../../server/dicom/dictionary.ts";
import { type JsonAttribute, toDicomJson, toJsonText } from "../../server/dicom/json.ts";
import { defaultLimits } from "../../server/dicom/limits.ts";
import { vrs } from "../../server/dicom/vr.ts";
import {
  type Content,
  dicomFile,
  element,
  encapsulated,
  type Piece,
  raw,
  sequence,
  syntaxUid,
} from "../support/dicom-writer.ts";
import { scanned, scanOnce } from "../support/scan.ts";

const charset = (terms: string): Piece => element(0x00080005, "CS", terms);

async function modelOf(pieces: readonly Piece[], options = {}) {
  const bytes = dicomFile([element(0x00080001, "UL", [0]), ...pieces], options);
  const file = bytes.length > 20_000 ? await scanOnce(bytes) : await scanned(bytes);
  return toDicomJson(file.dataSet, { bulkDataUri: (path) => `bulk/${path}` });
}

/** The attribute that one element becomes. */
async function attributeOf(
  tag: number,
  vr: string,
  content: Content,
  options = {},
): Promise<JsonAttribute | undefined> {
  const { json } = await modelOf([element(tag, vr, content)], options);
  return json[tag.toString(16).toUpperCase().padStart(8, "0")];
}

const valueOf = async (vr: string, content: Content) => (await attributeOf(0x00091001, vr, content))?.Value;

describe("DICOM JSON", () => {
  describe("every VR", () => {
    /** A private element of each VR: what is written, and its Value or InlineBinary. */
    const cases: readonly [vr: string, content: Content, value: unknown][] = [
      ["AE", " SCU\\SCP ", ["SCU", "SCP"]],
      ["AS", "042Y", ["042Y"]],
      ["AT", [0x00100010, 0x7fe00010], ["00100010", "7FE00010"]],
      ["CS", "A\\B ", ["A", "B"]],
      ["DA", "20240102", ["20240102"]],
      ["DS", "1.5\\-2e3 ", [1.5, -2000]],
      ["DT", "20240102101112.123456+0100", ["20240102101112.123456+0100"]],
      ["FD", [0.1, -1e300], [0.1, -1e300]],
      ["FL", [0.5, -2], [0.5, -2]],
      ["IS", "+12\\-0 ", [12, 0]],
      ["LO", "a\\ b ", ["a", "b"]],
      ["LT", " a\\b\r\nc ", [" a\\b\r\nc"]],
      ["OB", Buffer.from([1, 2, 3, 4]), "AQIDBA=="],
      ["OD", [1], "AAAAAAAA8D8="],
      ["OF", [1], "AACAPw=="],
      ["OL", [1], "AQAAAA=="],
      ["OV", [1], "AQAAAAAAAAA="],
      ["OW", [1, 2], "AQACAA=="],
      ["PN", "A^B\\C^D", [{ Alphabetic: "A^B" }, { Alphabetic: "C^D" }]],
      ["SH", "a\\b ", ["a", "b"]],
      ["SL", [-1, 2_147_483_647], [-1, 2_147_483_647]],
      ["SQ", Buffer.alloc(0), undefined],
      ["SS", [-1, 32_767], [-1, 32_767]],
      ["ST", " a\\b", [" a\\b"]],
      ["SV", [-5, -(2n ** 63n)], [-5, "-9223372036854775808"]],
      ["TM", "101112.5", ["101112.5"]],
      ["UC", " a\\b ", [" a", "b"]],
      ["UI", "1.2.3\\1.2.4", ["1.2.3", "1.2.4"]],
      ["UL", [0, 4_294_967_295], [0, 4_294_967_295]],
      ["UN", Buffer.from("ab"), "YWI="],
      ["UR", "https://example.com/a?b ", ["https://example.com/a?b"]],
      ["US", [0, 65_535], [0, 65_535]],
      ["UT", " a\\b ", [" a\\b"]],
      ["UV", [5, 2n ** 64n - 1n], [5, "18446744073709551615"]],
    ];

    it("of PS3.5 is among the cases", () => {
      assert.deepEqual(
        cases.map(([vr]) => vr),
        [...vrs.keys()],
      );
    });

    for (const [vr, content, value] of cases) {
      it(`${vr}, little and big endian`, async () => {
        const attribute = typeof value === "string" ? { vr, InlineBinary: value } : { vr, Value: value };
        const expected = value === undefined ? { vr } : attribute;
        assert.deepEqual(await attributeOf(0x00091001, vr, content), expected);
        assert.deepEqual(await attributeOf(0x00091001, vr, content, { syntax: syntaxUid.explicitBig }), expected);
      });

      it(`${vr}, empty`, async () => {
        assert.deepEqual(await attributeOf(0x00091001, vr, ""), { vr });
      });
    }

    it("that PS3.5 does not have becomes UN", async () => {
      const { json } = await modelOf([raw("\x09\x00\x01\x10ZZ\0\0\x02\0\0\0ab")]);
      assert.deepEqual(json["00091001"], { vr: "UN", InlineBinary: "YWI=" });
    });

    it("with a length that is no multiple of its width gives the whole values", async () => {
      assert.deepEqual(await valueOf("US", Buffer.from([1, 0, 2])), [1]);
      assert.equal(await valueOf("UL", Buffer.from([1, 0])), undefined);
      assert.deepEqual(await valueOf("AT", Buffer.from([8, 0, 16, 0, 1])), ["00080010"]);
    });
  });

  it("writes an empty value among others as null, and nothing for values that are all empty", async () => {
    assert.deepEqual(await valueOf("LO", "\\a\\\\b\\"), [null, "a", null, "b", null]);
    assert.deepEqual(await valueOf("DS", "1\\\\2"), [1, null, 2]);
    assert.deepEqual(await valueOf("IS", "\\5"), [null, 5]);
    assert.deepEqual(await valueOf("PN", "A\\\\B "), [{ Alphabetic: "A" }, null, { Alphabetic: "B" }]);
    assert.deepEqual(await valueOf("UI", "1.2\\"), ["1.2", null]);
    for (const [vr, text] of [
      ["LO", "\\\\"],
      ["LO", "    "],
      ["CS", "\0\0"],
      ["PN", "= "],
      ["DS", "\\ "],
      ["UT", "  "],
    ] as const) {
      assert.equal(await valueOf(vr, text), undefined, `${vr} ${JSON.stringify(text)}`);
    }
  });

  it("drops padding, NULs among it, and keeps blanks that mean something", async () => {
    assert.deepEqual(await valueOf("LO", "  a b \0"), ["a b"]);
    assert.deepEqual(await valueOf("UI", "1.2\0\0\0"), ["1.2"]);
    assert.deepEqual(await valueOf("ST", "  a \n \0"), ["  a \n"]);
    assert.deepEqual(await valueOf("UT", "\ta"), ["\ta"]);
  });

  it("takes a time linear in the length of a value", async () => {
    const texts: readonly [vr: string, text: string][] = [
      ["UT", `a${" ".repeat(500_000)}b`],
      ["UC", `a${" ".repeat(500_000)}b\\${"\0".repeat(400_000)}c`],
    ];
    const decimals = `${"1".repeat(500_000)}x`;
    const started = performance.now();
    for (const [vr, text] of texts) assert.ok(JSON.stringify(await valueOf(vr, text)).length > 1000);
    const dataSet = { littleEndian: true, elements: [{ tag: 0x00091001, vr: "DS", value: Buffer.from(decimals) }] };
    assert.deepEqual(toDicomJson(dataSet, { bulkDataUri: String }).json["00091001"]?.Value, [decimals]);
    assert.ok(performance.now() - started < 4000);
  });

  describe("numbers", () => {
    it("of DS that a JSON number holds are numbers; others stay strings", async () => {
      const numbers = {
        "0": 0,
        "-1.50": -1.5,
        "+.5": 0.5,
        "5.": 5,
        "1e-3": 0.001,
        "123456789012345": 123_456_789_012_345,
        " 7 ": 7,
        "0.000": 0,
        "00012": 12,
      };
      for (const [text, number] of Object.entries(numbers)) assert.deepEqual(await valueOf("DS", text), [number], text);
      const strings = [
        "1234567890123456",
        "0.1234567890123456",
        "1e400",
        "-1e400",
        "1e-400",
        "1.23456789e-320",
        "1,5",
        "abc",
        "1 2",
        "NaN",
        "Infinity",
        "0x10",
        "1e",
        ".",
        "+-1",
        "--1",
      ];
      for (const text of strings) assert.deepEqual(await valueOf("DS", text), [text], text);
    });

    it("of IS beyond what is exact, or that are none, stay strings", async () => {
      assert.deepEqual(await valueOf("IS", "9007199254740991"), [9_007_199_254_740_991]);
      for (const text of ["9007199254740993", "1.0", "abc", "1e3"]) assert.deepEqual(await valueOf("IS", text), [text]);
      assert.ok(Object.is((await valueOf("IS", "-0"))?.[0], 0));
    });

    it("of 64 bits are numbers up to 2^53, strings beyond", async () => {
      assert.deepEqual(await valueOf("UV", [2n ** 53n - 1n, 2n ** 53n]), [2 ** 53 - 1, "9007199254740992"]);
      assert.deepEqual(await valueOf("SV", [1n - 2n ** 53n, -(2n ** 53n)]), [1 - 2 ** 53, "-9007199254740992"]);
    });

    it("that are no numbers are strings", async () => {
      for (const vr of ["FL", "FD"]) {
        assert.deepEqual(await valueOf(vr, [Number.NaN, Infinity, -Infinity, 1]), ["NaN", "inf", "-inf", 1]);
      }
    });
  });

  it("splits a name into its groups", async () => {
    const cases = {
      "Yamada^Tarou=Y^T=y^t": { Alphabetic: "Yamada^Tarou", Ideographic: "Y^T", Phonetic: "y^t" },
      "=Y": { Ideographic: "Y" },
      "==y": { Phonetic: "y" },
      "A^B==": { Alphabetic: "A^B" },
      "A^^^ ": { Alphabetic: "A^^^" },
      " A = B =C=D": { Alphabetic: "A", Ideographic: "B", Phonetic: "C" },
    };
    for (const [text, name] of Object.entries(cases)) assert.deepEqual(await valueOf("PN", text), [name], text);
  });

  describe("character sets", () => {
    const doe = element(0x00100010, "PN", "J\xe9");

    it("hold for items without one of their own, at any depth", async () => {
      const greek = [
        charset("ISO_IR 126"),
        element(0x00100010, "PN", "\xc4"),
        sequence(0x00101002, [[element(0x00100010, "PN", "\xc4")]]),
      ];
      const items = sequence(0x00101002, [[doe], greek, [charset(""), element(0x00100010, "PN", "J\xc3\xa9")]]);
      const { json } = await modelOf([charset("ISO_IR 100"), doe, items]);
      const names = JSON.stringify(json).match(/(?<="Alphabetic":")[^"]*/g);
      assert.deepEqual(names, ["Jé", "Jé", "Δ", "Δ", "Jé"]);
    });

    it("become UTF-8 wherever one is named", async () => {
      const { json } = await modelOf([charset("ISO_IR 100"), sequence(0x00101002, [[charset("ISO_IR 126"), doe]])]);
      assert.equal(JSON.stringify(json).match(/ISO_IR 192/g)?.length, 2);
    });

    it("that are unknown are named, once", async () => {
      const item = [charset("ISO_IR 999"), doe];
      const { unknownTerms } = await modelOf([charset("ISO_IR 999\\ISO 2022 IR 87"), sequence(0x00101002, [item])]);
      assert.deepEqual(unknownTerms, ["ISO_IR 999"]);
    });

    it("in which a backslash is part of a character", async () => {
      const { json } = await modelOf([charset("GB18030"), element(0x00100020, "LO", "\x81\x5c\\b")]);
      assert.deepEqual(json["00100020"]?.Value, ["乗", "b"]);
    });
  });

  describe("what is left out", () => {
    it("group lengths and trailing padding, and elements come in ascending order", async () => {
      const file = await scanned(
        dicomFile([
          element(0x00080000, "UL", [10]),
          element(0x00100010, "PN", "A"),
          element(0x00080060, "CS", "CT"),
          element(0xfffcfffc, "OB", Buffer.alloc(10)),
        ]),
      );
      const { json } = toDicomJson(file.dataSet, { bulkDataUri: String });
      assert.deepEqual(Object.keys(json), ["00080060", "00100010"]);
    });
  });

  describe("bulk data", () => {
    const { inlineBinary, inlineNumbers } = defaultLimits;

    it("begins above the limit of the VR", async () => {
      for (const vr of ["OB", "OW", "UN", "OF"]) {
        assert.ok((await attributeOf(0x00091001, vr, Buffer.alloc(inlineBinary)))?.InlineBinary);
        const attribute = await attributeOf(0x00091001, vr, Buffer.alloc(inlineBinary + 8));
        assert.deepEqual(attribute, { vr, BulkDataURI: "bulk/00091001" });
      }
      for (const vr of ["UT", "SV"]) {
        assert.ok((await attributeOf(0x00091001, vr, Buffer.alloc(inlineNumbers, 49)))?.Value);
        const attribute = await attributeOf(0x00091001, vr, Buffer.alloc(inlineNumbers + 8, 49));
        assert.deepEqual(attribute, { vr, BulkDataURI: "bulk/00091001" });
      }
    });

    it("is addressed by its path, and swapped where the file is big endian", async () => {
      const waveform = element(0x54001010, "OW", Buffer.alloc(2000));
      const items = sequence(0x54000100, [[], [element(0x54001006, "CS", "SS"), sequence(0x54000100, [[waveform]])]]);
      for (const [syntax, swapWidth] of [
        [syntaxUid.explicitLittle, 1],
        [syntaxUid.explicitBig, 2],
      ] as const) {
        const bytes = dicomFile([items, element(0x7fe00008, "OF", [1])], { syntax });
        const file = await scanned(bytes);
        const { bulkData, json } = toDicomJson(file.dataSet, { bulkDataUri: (path) => path });
        const path = "54000100/2/54000100/1/54001010";
        assert.deepEqual(Object.keys(bulkData), [path, "7FE00008"]);
        assert.deepEqual(bulkData[path]?.swapWidth, swapWidth);
        assert.deepEqual(bulkData["7FE00008"]?.swapWidth, swapWidth * swapWidth);
        assert.deepEqual(
          bulkData[path]?.segments.map(({ length }) => length),
          [2000],
        );
        assert.ok(JSON.stringify(json).includes(`"BulkDataURI":"${path}"`));
      }
    });

    it("is always what pixel data is, a segment a fragment", async () => {
      const { bulkData, json } = await modelOf([encapsulated([], [Buffer.alloc(2), Buffer.alloc(4)])], {
        syntax: syntaxUid.jpegBaseline,
      });
      assert.deepEqual(json["7FE00010"], { vr: "OB", BulkDataURI: "bulk/7FE00010" });
      assert.deepEqual(
        bulkData["7FE00010"]?.segments.map(({ length }) => length),
        [2, 4],
      );
    });
  });

  it("is written in ascending order of the tags, at every level", async () => {
    const functionalGroups = sequence(0x52009229, [[element(0x00189073, "FD", [1]), element(0x30020022, "DS", "1")]]);
    const { json } = await modelOf([
      element(0x00080060, "CS", "CT"),
      element(0x20100010, "ST", "x"),
      functionalGroups,
      element(0x7fe00010, "OB"),
    ]);
    const text = toJsonText(json);
    assert.deepEqual(text.match(/(?<=")[0-9A-F]{8}(?=":)/g), [
      "00080001",
      "00080060",
      "20100010",
      "52009229",
      "00189073",
      "30020022",
      "7FE00010",
    ]);
    assert.deepEqual(JSON.parse(text), json);
    assert.equal(toJsonText({}), "{}");
    assert.equal(
      toJsonText({ "00081140": { vr: "SQ", Value: [null, {}] }, "00081199": { vr: "SQ" } }),
      '{"00081140":{"vr":"SQ","Value":[null,{}]},"00081199":{"vr":"SQ"}}',
    );
  });

  it("gives implicit VR elements the VR of the dictionary, by sign where that counts", async () => {
    const implicit = { syntax: syntaxUid.implicitLittle };
    for (const [representation, value] of [
      [0, 65_535],
      [1, -1],
    ] as const) {
      const { json } = await modelOf(
        [element(0x00280103, "US", [representation]), element(0x00280106, "SS", [-1])],
        implicit,
      );
      assert.deepEqual(json["00280106"], { vr: representation === 1 ? "SS" : "US", Value: [value] });
    }
    const { json } = await modelOf(
      [
        element(0x00090010, "LO", "ACME"),
        element(0x00091001, "LO", "secret"),
        element(0x60000010, "US", [5]),
        element(0x60023000, "OW", Buffer.alloc(2)),
      ],
      implicit,
    );
    assert.deepEqual(
      Object.entries(json)
        .map(([tag, { vr }]) => `${tag} ${vr}`)
        .sort(),
      ["00080001 UL", "00090010 LO", "00091001 UN", "60000010 US", "60023000 OW"],
    );
    assert.equal(entryOfTag(0x60210010), undefined);
  });
});
