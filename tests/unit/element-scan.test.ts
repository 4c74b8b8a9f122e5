/** Elements: sequences of every kind, UN, encapsulated pixel data, faults, limits. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { DataElement, DataSet } from "../../server/dicom/data-set.ts";
import { defaultLimits, elementOverhead, fragmentOverhead } from "../../server/dicom/limits.ts";
import {
  delimiter,
  dicomFile,
  element,
  encapsulated,
  explicitBig,
  explicitLittle,
  implicitLittle,
  type Piece,
  raw,
  sequence,
  syntaxUid,
  write,
} from "../support/dicom-writer.ts";
import { faultOf, scanned, scanOnce } from "../support/scan.ts";

const patientName = element(0x00100010, "PN", "A^B");
const pixels = element(0x7fe00010, "OB", Buffer.alloc(16, 1));
const jpeg = { syntax: syntaxUid.jpegBaseline };

/** A data set as tags, VRs and values in hexadecimal: what the scan is meant to keep. */
function outline({ elements }: DataSet): unknown[] {
  return elements.map(({ tag, vr, value, items, segments }: DataElement) => [
    tag.toString(16).padStart(8, "0"),
    vr,
    items?.map(outline) ?? value?.toString("latin1") ?? segments?.map(({ length }) => length),
  ]);
}

const outlineOf = async (pieces: readonly Piece[], options = {}) =>
  outline((await scanned(dicomFile(pieces, options))).dataSet);
const warningsOf = async (pieces: readonly Piece[], options = {}) =>
  (await scanned(dicomFile(pieces, options))).warnings.map(({ message }) => message);
const fault = (pieces: readonly Piece[], options = {}, limits = {}) =>
  faultOf(dicomFile(pieces, options), { ...defaultLimits, ...limits });

describe("element scan", () => {
  describe("sequences", () => {
    const inner = element(0x00081150, "UI", "1.2");
    const encodings = [syntaxUid.explicitLittle, syntaxUid.implicitLittle, syntaxUid.explicitBig];
    const lengths = [true, false].flatMap((open) => [true, false].map((openItems) => ({ open, openItems })));

    for (const options of lengths) {
      it(`nested, ${JSON.stringify(options)} and the other lengths inside`, async () => {
        for (const syntax of encodings) {
          for (const deeper of lengths) {
            const second = sequence(0x00081199, [[inner], [], [inner]], deeper);
            const pieces = [sequence(0x00081140, [[inner, second], []], options), patientName];
            const item = ["00081150", "UI", "1.2\0"];
            assert.deepEqual(await outlineOf(pieces, { syntax }), [
              ["00081140", "SQ", [[item, ["00081199", "SQ", [[item], [], [item]]]], []]],
              ["00100010", "PN", "A^B "],
            ]);
            assert.deepEqual(await warningsOf(pieces, { syntax }), []);
          }
        }
      });

      it(`private ones, ${JSON.stringify(options)}`, async () => {
        for (const syntax of [syntaxUid.explicitLittle, syntaxUid.explicitBig]) {
          const nested = sequence(
            0x00091002,
            [[element(0x00090010, "LO", "ACME"), element(0x00091003, "US", [1])]],
            options,
          );
          const pieces = [
            element(0x00090010, "LO", "ACME"),
            sequence(0x00091001, [[nested], []], options),
            patientName,
          ];
          assert.deepEqual((await outlineOf(pieces, { syntax }))[1]?.valueOf(), [
            "00091001",
            "SQ",
            [
              [
                [
                  "00091002",
                  "SQ",
                  [
                    [
                      ["00090010", "LO", "ACME"],
                      ["00091003", "US", syntax === encodings[0] ? "\x01\0" : "\0\x01"],
                    ],
                  ],
                ],
              ],
              [],
            ],
          ]);
        }
      });
    }

    it("private ones of undefined length in implicit VR", async () => {
      const nested = sequence(0x00091002, [[element(0x00091003, "UN", "ab")]], { open: true });
      const pieces = [sequence(0x00091001, [[nested]], { open: true, openItems: true }), patientName];
      assert.deepEqual((await outlineOf(pieces, { syntax: syntaxUid.implicitLittle }))[0], [
        "00091001",
        "SQ",
        [[["00091002", "SQ", [[["00091003", "UN", "ab"]]]]]],
      ]);
    });

    it("private ones of defined length in implicit VR stay bytes", async () => {
      const pieces = [sequence(0x00091001, [[element(0x00091003, "UN", "ab")]]), patientName];
      const [first] = await outlineOf(pieces, { syntax: syntaxUid.implicitLittle });
      assert.deepEqual(JSON.stringify(first).slice(0, 16), '["00091001","UN"');
    });

    it("without items, of either length", async () => {
      for (const open of [true, false]) {
        assert.deepEqual(await outlineOf([sequence(0x00081140, [], { open })]), [["00081140", "SQ", []]]);
      }
    });

    it("whose item delimitation is missing", async () => {
      const items = Buffer.concat([delimiter(0xfffee000, 0xffffffff, explicitLittle), write([inner], explicitLittle)]);
      const start = Buffer.from("0800401153510000ffffffff", "hex");
      const bytes = Buffer.concat([start, items, delimiter(0xfffee0dd, 0, explicitLittle)]);
      assert.deepEqual(await outlineOf([raw(bytes), patientName]), [
        ["00081140", "SQ", [[["00081150", "UI", "1.2\0"]]]],
        ["00100010", "PN", "A^B "],
      ]);
    });

    it("that are delimited though their length is given", async () => {
      for (const encoding of [explicitLittle, implicitLittle]) {
        const stray = [delimiter(0xfffee00d, 0, encoding), delimiter(0xfffee0dd, 0, encoding)];
        const pieces = [sequence(0x00081140, [[inner]]), ...stray.map(raw), patientName];
        const file = await scanned(write([element(0x00080005, "CS", "ISO_IR 6"), ...pieces], encoding));
        assert.equal(file.dataSet.elements.length, 3);
        assert.equal(file.warnings.filter(({ message }) => message.includes("delimitation")).length, 2);
      }
    });
  });

  describe("UN", () => {
    const inner = [element(0x00080100, "SH", "code"), element(0x00091001, "UN", "xy")];
    const expected = [
      [
        ["00080100", "SH", "code"],
        ["00091001", "UN", "xy"],
      ],
      [],
    ];

    it("of undefined length is a sequence in implicit VR little endian, of a private or a known attribute", async () => {
      for (const syntax of [syntaxUid.explicitLittle, syntaxUid.explicitBig]) {
        for (const openItems of [true, false]) {
          for (const tag of [0x00091001, 0x0008103f, 0x00081140]) {
            const pieces = [sequence(tag, [inner, []], { asUn: true, open: true, openItems }), patientName];
            const hex = tag.toString(16).padStart(8, "0");
            assert.deepEqual((await outlineOf(pieces, { syntax }))[0], [hex, "SQ", expected]);
          }
        }
      }
    });

    it("of undefined length holds explicit VR nowhere below, and what follows is explicit again", async () => {
      const nested = sequence(0x00081140, [[sequence(0x00081199, [inner], { open: true, openItems: true })]], {
        open: true,
      });
      const pieces = [sequence(0x00091001, [[nested]], { asUn: true, open: true }), patientName];
      assert.deepEqual(await outlineOf(pieces), [
        ["00091001", "SQ", [[["00081140", "SQ", [[["00081199", "SQ", [expected[0]]]]]]]]],
        ["00100010", "PN", "A^B "],
      ]);
    });

    it("of defined length: a known sequence is read, a private one stays bytes", async () => {
      const known = sequence(0x00081140, [inner, []], { asUn: true });
      assert.deepEqual(await outlineOf([known]), [["00081140", "SQ", expected]]);
      const [secret] = await outlineOf([sequence(0x00091001, [inner], { asUn: true })]);
      assert.equal(JSON.stringify(secret).startsWith('["00091001","UN","'), true);
    });

    it("of a known sequence that holds no items stays bytes, however short", async () => {
      for (const length of [1, 2, 4, 7, 8, 20]) {
        const odd = element(0x00400555, "UN", Buffer.alloc(length, 9));
        assert.deepEqual(await outlineOf([odd]), [["00400555", "UN", [length]]], `${length}`);
        const bytes = dicomFile([odd]);
        const [kept] = (await scanned(bytes)).dataSet.elements;
        assert.equal(kept?.segments?.[0]?.offset, bytes.length - length);
        assert.equal((await outlineOf([odd, element(0x00400556, "ST", "x")])).length, 2);
      }
      assert.deepEqual(await outlineOf([element(0x00400555, "UN", "")]), [["00400555", "SQ", []]]);
    });

    it("of a known attribute gets its VR", async () => {
      const pieces = [element(0x00100010, "UN", "A^B "), element(0x00280010, "UN", Buffer.from([0, 2]))];
      assert.deepEqual(await outlineOf(pieces), [
        ["00100010", "PN", "A^B "],
        ["00280010", "US", "\0\x02"],
      ]);
    });
  });

  describe("pixel data", () => {
    it("native: where it lies", async () => {
      const bytes = dicomFile([patientName, pixels]);
      assert.deepEqual((await scanned(bytes)).pixelData, {
        tag: 0x7fe00010,
        kind: "native",
        offset: bytes.length - 16,
        length: 16,
      });
    });

    it("encapsulated: every fragment and how it begins, in any layout", async () => {
      const fragments = [Buffer.from("ffd8ffe0", "hex"), Buffer.alloc(0), Buffer.from("a1", "hex"), Buffer.alloc(6, 2)];
      for (const offsets of [[], [0], [0, 20, 28]]) {
        for (const delimited of [true, false]) {
          const bytes = dicomFile([patientName, encapsulated(offsets, fragments, { delimited })], jpeg);
          const file = await scanned(bytes);
          const { pixelData } = file;
          assert.ok(pixelData?.kind === "encapsulated");
          assert.deepEqual(pixelData.basicOffsetTable, offsets);
          assert.deepEqual(pixelData.fragmentStarts, [0xffd8, 0, 0, 0x0202]);
          assert.deepEqual(
            pixelData.fragments.map(({ offset, length }) => bytes.subarray(offset, offset + length)),
            fragments,
          );
          assert.equal(file.warnings.length, delimited ? 0 : 1);
        }
      }
    });

    it("encapsulated without a fragment, without even a table", async () => {
      const { pixelData } = await scanned(dicomFile([patientName, encapsulated([], [])], jpeg));
      assert.ok(pixelData?.kind === "encapsulated" && pixelData.fragments.length === 0);
      const bare = raw(
        Buffer.concat([Buffer.from("e07f10004f420000ffffffff", "hex"), delimiter(0xfffee0dd, 0, explicitLittle)]),
      );
      const file = await scanned(dicomFile([patientName, bare], jpeg));
      assert.ok(file.pixelData?.kind === "encapsulated" && file.pixelData.fragments.length === 0);
    });

    it("inside an item (an icon) is no pixel data of the instance", async () => {
      for (const openItems of [true, false]) {
        const icon = sequence(0x00880200, [[encapsulated([0], [Buffer.from("ab")])]], { openItems });
        const file = await scanned(dicomFile([icon, patientName], jpeg));
        assert.equal(file.pixelData, undefined);
        assert.deepEqual(outline(file.dataSet)[0], ["00880200", "SQ", [[["7fe00010", "OB", [2]]]]]);
      }
    });

    it("that is longer than the item around it is refused", async () => {
      const icon = (encoding: typeof explicitLittle) => {
        const bytes = sequence(0x00880200, [[encapsulated([0], [Buffer.alloc(8)])]])(encoding);
        bytes.writeUInt32LE(40, bytes.indexOf(Buffer.from("feff00e008000000", "hex")) + 4);
        return bytes;
      };
      // The fragment ends where the element behind the sequence does, before what looks like its delimitation.
      const within = [element(0x00880904, "LO", "x".repeat(16)), raw(delimiter(0xfffee0dd, 0, explicitLittle))];
      assert.equal(await fault([icon, ...within, element(0x00880906, "ST", "y")], jpeg), "malformed-dicom");
    });

    it("twice, in either layout: the first counts", async () => {
      const wrapped = encapsulated([], [Buffer.alloc(4)]);
      for (const [one, other, kind] of [
        [pixels, wrapped, "native"],
        [wrapped, pixels, "encapsulated"],
        [wrapped, wrapped, "encapsulated"],
      ] as const) {
        const file = await scanned(dicomFile([patientName, one, other]));
        assert.equal(file.pixelData?.kind, kind);
        assert.equal(file.dataSet.elements.length, 2);
        assert.equal(file.warnings.length, 1);
      }
    });

    it("fragments of another element than pixel data are places of that element", async () => {
      for (const tag of [0x00091001, 0x7fdf1010]) {
        const file = await scanned(dicomFile([encapsulated([], [Buffer.from("abcd")], { tag }), pixels]));
        assert.equal(file.pixelData?.kind, "native");
        assert.deepEqual(outline(file.dataSet)[0]?.valueOf(), [tag.toString(16).padStart(8, "0"), "OB", [4]]);
      }
    });

    it("of floats", async () => {
      for (const [tag, vr] of [
        [0x7fe00008, "OF"],
        [0x7fe00009, "OD"],
      ] as const) {
        const file = await scanned(dicomFile([patientName, element(tag, vr, [1, 2])]));
        assert.deepEqual([file.pixelData?.tag, file.pixelData?.kind], [tag, "native"]);
      }
    });

    it("written as UN", async () => {
      const file = await scanned(dicomFile([patientName, element(0x7fe00010, "UN", Buffer.alloc(8))]));
      assert.equal(file.pixelData?.kind, "native");
    });
  });

  describe("after the pixel data", () => {
    const trailing = element(0xfffcfffc, "OB", Buffer.alloc(20));
    const signatures = sequence(0xfffafffa, [[element(0x04000005, "US", [1])]], { open: true });

    it("elements are kept", async () => {
      for (const layout of [pixels, encapsulated([], [Buffer.alloc(4)])]) {
        const file = await scanned(dicomFile([patientName, layout, signatures, trailing]));
        assert.deepEqual(file.warnings, []);
        assert.equal(file.dataSet.elements.length, 4);
        assert.deepEqual(outline(file.dataSet)[2], ["fffafffa", "SQ", [[["04000005", "US", "\x01\0"]]]]);
      }
    });

    const garbage: Readonly<Record<string, Buffer>> = {
      "one zero": Buffer.alloc(1),
      "seven zeros": Buffer.alloc(7),
      zeros: Buffer.alloc(1000),
      text: Buffer.from("-- the end of the file --"),
      "half an element": Buffer.from("fcfffcff4f420000", "hex"),
      "an element cut short": Buffer.from("fcfffcff4f420000640000000000", "hex"),
      "a long element cut short": Buffer.from("fcfffcff4f420000640000100000", "hex"),
      "a sequence without end": Buffer.from("fafffaff53510000fffffffffeff00e0ffffffff", "hex"),
    };
    for (const [name, bytes] of Object.entries(garbage)) {
      it(`${name}: passed over with a warning`, async () => {
        for (const layout of [pixels, encapsulated([], [Buffer.alloc(4)])]) {
          const file = await scanned(dicomFile([patientName, layout, raw(bytes)]));
          assert.equal(file.dataSet.elements.length, 2);
          assert.match(file.warnings.map(({ message }) => message).join(), /after the pixel data/);
        }
      });
    }

    it("a cut element takes nothing with it that was whole", async () => {
      const cut = raw(garbage["a long element cut short"] ?? "");
      const inside = raw(
        Buffer.concat([Buffer.from("fafffaff53510000fffffffffeff00e0ffffffff", "hex"), cut(explicitLittle)]),
      );
      const whole = element(0x7fe10010, "LO", "ACME");
      for (const last of [cut, inside]) {
        assert.equal((await scanned(dicomFile([patientName, pixels, whole, last]))).dataSet.elements.length, 3);
      }
    });
  });

  describe("order", () => {
    it("an element twice: the first counts, also when the second is long or a sequence", async () => {
      const second = element(0x00100010, "PN", "C^D");
      assert.deepEqual(await outlineOf([patientName, second]), [["00100010", "PN", "A^B "]]);
      assert.match((await warningsOf([patientName, second])).join(), /PatientName \(0010,0010\) is there twice/);
      const data = [element(0x7fe00010, "OB", Buffer.alloc(4)), element(0x7fe00010, "OB", Buffer.alloc(8))];
      const file = await scanned(dicomFile(data));
      assert.ok(file.pixelData?.kind === "native" && file.pixelData.length === 4);
    });

    it("out of order: kept, with a warning, once", async () => {
      const modality = element(0x00080060, "CS", "CT");
      const pieces = [patientName, modality, modality, element(0x00100020, "LO", "1"), patientName];
      assert.deepEqual(
        (await outlineOf(pieces)).map((row) => JSON.stringify(row).slice(2, 10)),
        ["00100010", "00080060", "00100020"],
      );
      assert.equal((await warningsOf(pieces)).length, 3);
    });

    it("of a hundred thousand, backwards, costs no more than forwards, and warns sixteen times", async () => {
      const count = 100_000;
      const bytes = Buffer.alloc(count * 8);
      for (let index = 0; index < count; index += 1) {
        const tag = 0x60000000 - index;
        bytes.writeUInt16LE(tag >>> 16, index * 8);
        bytes.writeUInt16LE(tag & 0xffff, index * 8 + 2);
        bytes.write("LO", index * 8 + 4);
      }
      const before = performance.now();
      const { dataSet, warnings } = await scanOnce(dicomFile([patientName, raw(bytes)]));
      assert.ok(performance.now() - before < 3000);
      assert.equal(dataSet.elements.length, count + 1);
      assert.equal(warnings.length, 16);
    });
  });

  describe("limits", () => {
    const nested = (depth: number): Piece =>
      depth === 0 ? patientName : sequence(0x00081140, [[nested(depth - 1)]], { open: depth % 2 === 0 });

    it("depth", async () => {
      assert.equal(await fault([nested(5)], {}, { depth: 5 }), undefined);
      assert.equal(await fault([nested(6)], {}, { depth: 5 }), "too-deep");
      assert.equal(await fault([nested(256)]), undefined);
      assert.equal(await fault([nested(257)]), "too-deep");
    });

    it("length of a value that can only be text", async () => {
      const limits = { inlineText: 10 };
      assert.equal(await fault([element(0x00100010, "PN", "0123456789")], {}, limits), undefined);
      assert.equal(await fault([element(0x00100010, "PN", "0123456789ab")], {}, limits), "element-too-long");
      const long = delimiter(0x00100020, 0x7fffffff, implicitLittle);
      assert.equal(
        await fault([element(0x00080060, "CS", "CT"), raw(long)], { syntax: syntaxUid.implicitLittle }),
        "element-too-long",
      );
    });

    it("size of the header, by values, by elements, by items, by fragments, by an offset table", async () => {
      const limits = { headerLength: 50_000 };
      const elements = (count: number) =>
        Array.from({ length: count }, (_, index) => element(0x00090000 + index, "LO"));
      const values = (count: number) =>
        Array.from({ length: count }, (_, index) => element(0x00090000 + index, "LO", "a".repeat(100)));
      const items = (count: number) => [
        sequence(
          0x00081140,
          Array.from({ length: count }, () => []),
        ),
      ];
      const fragments = (count: number) => [encapsulated([], Array<Buffer>(count).fill(Buffer.alloc(0)))];
      const offsets = (count: number) => [encapsulated(Array<number>(count).fill(0), [])];
      const text = (count: number) => [element(0x00104000, "LT", "a".repeat(count))];
      /** What is written, and the bytes that one of it counts for; an offset but once, in however many chunks it comes. */
      const kinds: readonly [write: (count: number) => Piece[], cost: number][] = [
        [text, 1],
        [elements, 8 + elementOverhead],
        [values, 108 + elementOverhead],
        [items, 8 + elementOverhead],
        [fragments, 8 + fragmentOverhead],
        [offsets, 4],
      ];
      for (const [pieces, cost] of kinds) {
        assert.equal(await fault(pieces(Math.floor(48_000 / cost)), {}, limits), undefined, pieces.name);
        assert.equal(await fault(pieces(Math.ceil(50_400 / cost)), {}, limits), "header-too-large", pieces.name);
      }
      const table = delimiter(0xfffee000, 0xfffffff0, explicitLittle);
      const hostile = raw(Buffer.concat([Buffer.from("e07f10004f420000ffffffff", "hex"), table]));
      assert.equal(await fault([patientName, hostile]), "header-too-large");
    });
  });

  describe("faults", () => {
    const head = "0800401153510000"; // (0008,1140) SQ
    const cases: Readonly<Record<string, string>> = {
      "an element longer than its item": `${head}14000000 feff00e00c000000 0800601143530800 4142434445464748`,
      "an item longer than its sequence": `${head}10000000 feff00e020000000 0800501155490200 3100`,
      "an element where an item should be": `${head}ffffffff 0800501155490200 3100`,
      "a text without length": "10001000 55540000 ffffffff 41424344",
      "an element without VR": "10001000 01020200 4142",
      "an item where an element should be": "feff00e0 00000000 10001000 504e0000",
      "a fragment without length": "e07f1000 4f420000 ffffffff feff00e0 ffffffff 00000000",
      "an element between fragments": "e07f1000 4f420000 ffffffff feff00e0 00000000 10001000 504e0000",
    };
    for (const [name, hex] of Object.entries(cases)) {
      it(name, async () => {
        const bytes = Buffer.from(hex.replaceAll(" ", ""), "hex");
        assert.equal(await fault([element(0x00080060, "CS", "CT"), raw(bytes), pixels]), "malformed-dicom");
      });
    }

    it("an item where an element should be, in implicit VR", async () => {
      const pieces = [element(0x00080060, "CS", "CT"), raw(Buffer.from("feff00e000000000", "hex")), patientName];
      assert.equal(await fault(pieces, { syntax: syntaxUid.implicitLittle }), "malformed-dicom");
    });

    it("a file cut inside pixel data or a nested value", async () => {
      const native = dicomFile([patientName, pixels]);
      assert.equal(await faultOf(native.subarray(0, -1)), "truncated-dicom");
      const nested = dicomFile([
        sequence(0x00081140, [[element(0x00081199, "OB", Buffer.alloc(4000))]], { open: true }),
      ]);
      assert.equal(await faultOf(nested.subarray(0, -100)), "truncated-dicom");
    });
  });

  it("keeps an extended offset table whole, however long, and other long values as places", async () => {
    const table = Buffer.alloc(16_384, 3);
    const values = [element(0x00091001, "OB", table), element(0x7fe00001, "OV", table)];
    const bytes = dicomFile([...values, encapsulated([], [])]);
    const [long, offsets] = (await scanned(bytes)).dataSet.elements;
    assert.equal(offsets?.value?.length, table.length);
    const [segment] = long?.segments ?? [];
    assert.deepEqual(bytes.subarray(segment?.offset, (segment?.offset ?? 0) + (segment?.length ?? 0)), table);
  });

  it("takes US or SS from Pixel Representation in implicit VR, also inside items", async () => {
    for (const [value, vr] of [
      [0, "US"],
      [1, "SS"],
    ] as const) {
      const smallest = element(0x00280106, "US", [1]);
      const pieces = [
        element(0x00280103, "US", [value]),
        smallest,
        sequence(0x00283010, [[element(0x00283002, "US", [1, 2, 3])]]),
      ];
      const rows = JSON.stringify(await outlineOf(pieces, { syntax: syntaxUid.implicitLittle }));
      assert.ok(rows.includes(`["00280106","${vr}"`));
      assert.ok(rows.includes(`["00283002","${vr}"`));
      assert.equal(
        (await outlineOf(pieces, { syntax: syntaxUid.explicitBig, encoding: explicitBig }))[1]
          ?.toString()
          .includes("US"),
        true,
      );
    }
  });
});
