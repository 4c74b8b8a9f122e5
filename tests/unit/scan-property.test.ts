/** Random data sets, random chunks, cut and mutated files: the scan tells the truth or an ArchiveError, and soon. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { frameTableOf } from "../../server/dicom/frames.ts";
import { type DicomJson, type JsonAttribute, toDicomJson } from "../../server/dicom/json.ts";
import { defaultLimits } from "../../server/dicom/limits.ts";
import type { ScannedFile } from "../../server/dicom/part10.ts";
import {
  type Content,
  dicomFile,
  element,
  encapsulated,
  explicitLittle,
  implicitLittle,
  type Piece,
  raw,
  sequence,
  syntaxUid,
} from "../support/dicom-writer.ts";
import { outcomeOf, type Random, repeatable, scanned, scanOnce } from "../support/scan.ts";

/** An element and what the model has of it. */
type Row = readonly [tag: number, vr: string, content: Content, attribute: JsonAttribute];

const rows: readonly Row[] = [
  [0x00080008, "CS", "ORIGINAL\\PRIMARY\\\\X", { vr: "CS", Value: ["ORIGINAL", "PRIMARY", null, "X"] }],
  [0x00080018, "UI", "1.2.3", { vr: "UI", Value: ["1.2.3"] }],
  [0x00080020, "DA", "20240102", { vr: "DA", Value: ["20240102"] }],
  [0x00080050, "SH", "", { vr: "SH" }],
  [0x00090010, "LO", "ACME", { vr: "LO", Value: ["ACME"] }],
  [0x00100010, "PN", "A^B=C", { vr: "PN", Value: [{ Alphabetic: "A^B", Ideographic: "C" }] }],
  [0x00101030, "DS", "70.5", { vr: "DS", Value: [70.5] }],
  [0x00104000, "LT", " long", { vr: "LT", Value: [" long"] }],
  [0x00189073, "FD", [1.5, -2.25], { vr: "FD", Value: [1.5, -2.25] }],
  [0x00200013, "IS", "7\\-8", { vr: "IS", Value: [7, -8] }],
  [0x00280009, "AT", [0x00181063], { vr: "AT", Value: ["00181063"] }],
  [0x00280010, "US", [1, 65_535], { vr: "US", Value: [1, 65_535] }],
  [0x00720082, "SV", [-1, 2n ** 60n], { vr: "SV", Value: [-1, "1152921504606846976"] }],
  [0x00720076, "FL", [0.5], { vr: "FL", Value: [0.5] }],
  [0x00720078, "UL", [4_294_967_295], { vr: "UL", Value: [4_294_967_295] }],
  [0x0072007c, "SL", [-2], { vr: "SL", Value: [-2] }],
];
const sequences = [0x00081140, 0x00081199, 0x00400555, 0x0040a730];

/** A random data set, and its model. */
function randomDataSet(random: Random, depth: number): { pieces: Piece[]; json: DicomJson } {
  const chosen: [tag: number, piece: Piece, attribute: JsonAttribute][] = [];
  for (const [tag, vr, content, attribute] of rows) {
    if (random(3) === 0) chosen.push([tag, element(tag, vr, content), attribute]);
  }
  for (const tag of sequences) {
    if (depth === 0 || random(3) !== 0) continue;
    const items = Array.from({ length: random(3) }, () => randomDataSet(random, depth - 1));
    const open = random(2) === 0;
    const options = { open, openItems: random(2) === 0, asUn: open && random(3) === 0 };
    const piece = sequence(
      tag,
      items.map((inner) => inner.pieces),
      options,
    );
    const value = items.map((inner) => inner.json);
    chosen.push([tag, piece, items.length === 0 ? { vr: "SQ" } : { vr: "SQ", Value: value }]);
  }
  chosen.sort(([one], [other]) => one - other);
  const hex = (tag: number) => tag.toString(16).toUpperCase().padStart(8, "0");
  return {
    pieces: chosen.map(([, piece]) => piece),
    json: Object.fromEntries(chosen.map(([tag, , attribute]) => [hex(tag), attribute])),
  };
}

/** Everything that is done with a scanned file. */
function digest(file: ScannedFile): DicomJson {
  frameTableOf(file.dataSet, file.pixelData, file.transferSyntax);
  return toDicomJson(file.dataSet, { bulkDataUri: (path) => path }).json;
}

const first = element(0x00080005, "CS", "ISO_IR 100");

/** A small file with one of everything. */
function specimen(): Buffer<ArrayBuffer> {
  const item = [element(0x00081150, "UI", "1.2"), element(0x00091001, "UN", "xy")];
  return dicomFile(
    [
      first,
      sequence(0x00081140, [item, []], { open: true, openItems: true }),
      sequence(0x00081199, [[sequence(0x00081140, [item])]]),
      sequence(0x00091001, [item], { asUn: true, open: true }),
      element(0x00100010, "PN", "A^B=C=D"),
      element(0x00280008, "IS", "2"),
      element(0x00280010, "US", [4]),
      element(0x7fe00001, "OV", [0, 12]),
      element(0x7fe00002, "OV", [4, 2]),
      encapsulated([0, 12], [Buffer.from("ffd8ffe0", "hex"), Buffer.from("ffd8", "hex")]),
      element(0xfffcfffc, "OB", Buffer.alloc(4)),
    ],
    { syntax: syntaxUid.jpegBaseline },
  );
}

describe("scan properties", () => {
  it("reads random data sets in every transfer syntax and any chunks as their model says", async () => {
    const random = repeatable(20_240_101);
    for (let round = 0; round < 150; round += 1) {
      const { pieces, json } = randomDataSet(random, 3);
      for (const syntax of [
        syntaxUid.explicitLittle,
        syntaxUid.implicitLittle,
        syntaxUid.explicitBig,
        syntaxUid.deflated,
      ]) {
        const bytes = dicomFile([first, ...pieces], { syntax });
        const whole = await scanOnce(bytes);
        const expected = { "00080005": { vr: "CS", Value: ["ISO_IR 192"] }, ...json };
        assert.deepEqual(digest(whole), expected, `round ${round}, ${syntax}`);
        assert.deepEqual(whole.warnings, []);
        assert.deepEqual(await scanOnce(bytes, () => 1 + random(40)), whole);
        assert.deepEqual(await scanOnce(bytes, () => 1), whole);
      }
    }
  });

  describe("a file that is cut at any byte", () => {
    const native = [first, sequence(0x00081140, [[element(0x00081150, "UI", "1.2")]]), element(0x00280010, "US", [4])];
    const files: Readonly<Record<string, Buffer>> = {
      encapsulated: specimen(),
      "explicit little endian": dicomFile([...native, element(0x7fe00010, "OW", Buffer.alloc(8))]),
      "explicit big endian": dicomFile(native, { syntax: syntaxUid.explicitBig }),
      "implicit little endian": dicomFile(native, { syntax: syntaxUid.implicitLittle }),
      "without preamble": dicomFile(native, { preamble: false }),
      "without file meta information": dicomFile(native, { preamble: false, syntax: null, encoding: implicitLittle }),
      deflated: dicomFile(native, { syntax: syntaxUid.deflated }),
    };
    for (const [name, bytes] of Object.entries(files)) {
      it(name, async () => {
        const whole = await scanned(bytes);
        for (let end = 0; end < bytes.length; end += 1) {
          const outcome = await outcomeOf(bytes.subarray(0, end));
          assert.deepEqual(await outcomeOf(bytes.subarray(0, end), () => 1), outcome);
          if ("code" in outcome) {
            assert.match(outcome.code, /^(not|malformed|truncated)-dicom$/, `cut at ${end}`);
            continue;
          }
          // A legal shorter file: it ends between elements, or among or behind fragments, and nothing in it differs.
          digest(outcome);
          const { elements } = outcome.dataSet;
          const [last] = elements.slice(-1);
          const same = last?.tag === 0x7fe00010 ? elements.length - 1 : elements.length;
          assert.deepEqual(elements.slice(0, same), whole.dataSet.elements.slice(0, same), `cut at ${end}`);
          assert.equal(last?.tag, whole.dataSet.elements[elements.length - 1]?.tag);
        }
      });
    }

    it("is never taken for whole when it is cut inside native pixel data", async () => {
      const bytes = dicomFile([...native, element(0x7fe00010, "OW", Buffer.alloc(64))]);
      for (let missing = 1; missing <= 64; missing += 1) {
        const outcome = await outcomeOf(bytes.subarray(0, -missing));
        assert.ok("code" in outcome && outcome.code === "truncated-dicom");
      }
    });
  });

  it("survives 20,000 mutated files: an ArchiveError or a data set, in bounded time", async () => {
    const random = repeatable(77);
    const small = [first, element(0x00100010, "PN", "A^B"), element(0x00280030, "DS", "1\\2")];
    const seeds = [
      specimen(),
      dicomFile([...small, element(0x7fe00010, "OW", Buffer.alloc(8))]),
      dicomFile(small, { syntax: syntaxUid.implicitLittle }),
      dicomFile(small, { syntax: syntaxUid.explicitBig }),
      dicomFile([...small, sequence(0x00400555, [small], { open: true })], { preamble: false }),
      dicomFile([...small, sequence(0x00091001, [small], { asUn: true, open: true }), raw("x")], {
        encoding: explicitLittle,
        syntax: null,
      }),
    ];
    const deflated = dicomFile(small, { syntax: syntaxUid.deflated });
    const telling = [0, 1, 2, 4, 8, 0x10, 0x7f, 0x80, 0xe0, 0xfe, 0xff];
    const limits = { ...defaultLimits, inflatedLength: 2 ** 20 };
    const begun = performance.now();
    const faults = new Map<string, number>();
    let longest = 0;
    for (let round = 0; round < 20_000; round += 1) {
      const seed = round % 20 === 0 ? deflated : seeds[round % seeds.length];
      const bytes = Buffer.from(seed ?? deflated);
      const from = bytes.indexOf("DICM") === 128 && random(8) > 0 ? 128 : 0;
      for (let count = 1 + random(4); count > 0; count -= 1) {
        const at = from + random(bytes.length - from);
        const kind = random(4);
        if (kind === 0) bytes[at] = random(256);
        else if (kind === 1) bytes[at] = telling[random(telling.length)] ?? 0;
        else if (kind === 2) bytes.copyWithin(at, from + random(bytes.length - from));
        else bytes.fill(telling[random(telling.length)] ?? 0, at, Math.min(at + 1 + random(4), bytes.length));
      }
      const cut = random(6) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes;
      const before = performance.now();
      // Anything but an ArchiveError passes through here and fails the test.
      const outcome = await outcomeOf(cut, undefined, limits);
      if (!("code" in outcome)) digest(outcome);
      else faults.set(outcome.code, (faults.get(outcome.code) ?? 0) + 1);
      longest = Math.max(longest, performance.now() - before);
      if (round % 10 === 0) assert.deepEqual(await outcomeOf(cut, () => 1 + random(9), limits), outcome, `${round}`);
    }
    // The mutations reach both sides: files that are still read, and faults of every usual kind.
    const refused = [...faults.values()].reduce((sum, count) => sum + count, 0);
    assert.ok(refused > 2000 && refused < 18_000, `${refused} refused`);
    assert.ok(
      ["malformed-dicom", "truncated-dicom", "not-dicom", "element-too-long"].every((code) => faults.has(code)),
    );
    assert.ok(longest < 1000, `one took ${longest} ms`);
    assert.ok(performance.now() - begun < 20_000);
  });
});
