/** Frame tables: native by arithmetic, encapsulated by offset tables and by fragments. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { elementOf, integerOf, textOf } from "../../server/dicom/data-set.ts";
import { type FrameTableResult, frameTableOf } from "../../server/dicom/frames.ts";
import {
  dicomFile,
  element,
  encapsulated,
  type FileOptions,
  type Piece,
  sequence,
  syntaxUid,
} from "../support/dicom-writer.ts";
import { scanned } from "../support/scan.ts";

interface Image {
  readonly rows?: number;
  readonly columns?: number;
  readonly bits?: number;
  readonly samples?: number;
  readonly photometric?: string;
  readonly frames?: string;
}

function image({ rows = 4, columns = 4, bits = 8, samples = 1, photometric = "MONOCHROME2", frames }: Image): Piece[] {
  return [
    element(0x00280002, "US", [samples]),
    element(0x00280004, "CS", photometric),
    ...(frames === undefined ? [] : [element(0x00280008, "IS", frames)]),
    element(0x00280010, "US", [rows]),
    element(0x00280011, "US", [columns]),
    element(0x00280100, "US", [bits]),
  ];
}

async function tableOf(pieces: readonly Piece[], options: FileOptions = {}): Promise<FrameTableResult> {
  const file = await scanned(dicomFile(pieces, options));
  return frameTableOf(file.dataSet, file.pixelData, file.transferSyntax);
}

/** The table of a native image of `length` bytes: bits a frame, frames, bytes of a sample, fault. */
async function native(description: Image, length: number, options: FileOptions & { vr?: string } = {}) {
  const pixels = element(0x7fe00010, options.vr ?? "OW", Buffer.alloc(length));
  const { table, fault } = await tableOf([...image(description), pixels], options);
  return table?.kind === "native" ? [table.frameBits, table.count, table.sampleBytes, fault] : [table, fault];
}

const bytes = (...lengths: number[]) => lengths.map((length, index) => Buffer.alloc(length, index + 1));
const starting = (...starts: string[]) => starts.map((start) => Buffer.from(`${start}0001`, "hex"));

/** The frames of encapsulated pixel data, each as the numbers of its fragments, 1 being the first. */
async function assigned(
  declared: string | undefined,
  offsets: readonly number[],
  fragments: readonly Buffer[],
  { tables = [], syntax = syntaxUid.jpegBaseline }: { tables?: readonly Piece[]; syntax?: string } = {},
) {
  const file = dicomFile(
    [...image(declared === undefined ? {} : { frames: declared }), ...tables, encapsulated(offsets, fragments)],
    { syntax },
  );
  const { dataSet, pixelData, transferSyntax } = await scanned(file);
  const { table, fault } = frameTableOf(dataSet, pixelData, transferSyntax);
  assert.ok(pixelData?.kind === "encapsulated");
  if (table?.kind !== "encapsulated") return { frames: undefined, fault };
  const places = pixelData.fragments.map(({ offset }) => offset);
  return { frames: table.frames.map((frame) => frame.map(({ offset }) => places.indexOf(offset) + 1)), fault, table };
}

describe("frame table", () => {
  describe("of native pixel data", () => {
    const cases: readonly [name: string, image: Image, length: number, table: unknown[]][] = [
      ["8 bits", {}, 16, [128, 1, 1, undefined]],
      ["8 bits, a padding byte", { rows: 3, columns: 3 }, 10, [72, 1, 1, undefined]],
      ["16 bits", { bits: 16 }, 32, [256, 1, 2, undefined]],
      ["32 bits", { bits: 32 }, 64, [512, 1, 4, undefined]],
      ["64 bits", { bits: 64 }, 128, [1024, 1, 8, undefined]],
      ["RGB", { samples: 3, photometric: "RGB" }, 48, [384, 1, 1, undefined]],
      ["RGB, several frames", { samples: 3, photometric: "RGB", frames: "3" }, 144, [384, 3, 1, undefined]],
      [
        "YBR_FULL_422, subsampled",
        { samples: 3, photometric: "YBR_FULL_422", frames: "2" },
        64,
        [256, 2, 1, undefined],
      ],
      [
        "YBR_FULL_422, not subsampled",
        { samples: 3, photometric: "YBR_FULL_422", frames: "2" },
        96,
        [384, 2, 1, undefined],
      ],
      ["YBR_PARTIAL_420", { samples: 3, photometric: "YBR_PARTIAL_420" }, 24, [192, 1, 1, undefined]],
      ["1 bit, frames that share bytes", { rows: 3, columns: 3, bits: 1, frames: "5" }, 6, [9, 5, 1, undefined]],
      ["1 bit, more than the padding", { rows: 8, columns: 8, bits: 1, frames: "2" }, 18, [64, 2, 1, undefined]],
      ["12 bits packed", { rows: 2, columns: 2, bits: 12, frames: "2" }, 12, [48, 2, 1, undefined]],
      ["several frames", { frames: "10" }, 160, [128, 10, 1, undefined]],
      ["frames 0", { frames: "0" }, 16, [128, 1, 1, undefined]],
      ["frames -4", { frames: "-4" }, 16, [128, 1, 1, undefined]],
      ["frames that are no number", { frames: "many" }, 16, [128, 1, 1, undefined]],
      ["frames padded with NUL", { frames: "2\0" }, 32, [128, 2, 1, undefined]],
      [
        "fewer frames than declared",
        { frames: "9999999999" },
        40,
        [128, 2, 1, "9999999999 frames are declared and 2 are there."],
      ],
      ["less than a frame", {}, 10, [undefined, "The pixel data holds 10 bytes, less than one frame."]],
      ["no bytes", {}, 0, [undefined, "The pixel data holds 0 bytes, less than one frame."]],
    ];
    for (const [name, description, length, table] of cases) {
      it(name, async () => assert.deepEqual(await native(description, length), table));
    }

    it("without rows, columns or bits", async () => {
      for (const missing of [{ rows: 0 }, { columns: 0 }, { bits: 0 }, { samples: 0 }]) {
        assert.match(JSON.stringify(await native(missing, 16)), /missing or 0/);
      }
      assert.match((await tableOf([element(0x7fe00010, "OW", Buffer.alloc(4))])).fault ?? "", /missing or 0/);
    });

    it("in big endian: 8-bit samples lie in words when the VR is OW", async () => {
      const syntax = syntaxUid.explicitBig;
      assert.deepEqual(await native({}, 16, { syntax }), [128, 1, 2, undefined]);
      assert.deepEqual(await native({}, 16, { syntax, vr: "OB" }), [128, 1, 1, undefined]);
      assert.deepEqual(await native({ bits: 16 }, 32, { syntax }), [256, 1, 2, undefined]);
      assert.deepEqual(await native({ bits: 32 }, 64, { syntax }), [512, 1, 4, undefined]);
    });

    it("of floats, whatever Bits Allocated says", async () => {
      for (const [tag, vr, width] of [
        [0x7fe00008, "OF", 4],
        [0x7fe00009, "OD", 8],
      ] as const) {
        const { table } = await tableOf([
          ...image({ bits: 16, frames: "2" }),
          element(tag, vr, Buffer.alloc(32 * width)),
        ]);
        assert.ok(table?.kind === "native");
        assert.deepEqual([table.frameBits, table.count, table.sampleBytes], [128 * width, 2, width]);
      }
    });

    it("begins where the value does", async () => {
      const pieces = [...image({}), element(0x7fe00010, "OB", Buffer.alloc(16))];
      const { table } = await tableOf(pieces);
      assert.ok(table?.kind === "native" && table.offset === dicomFile(pieces).length - 16);
    });
  });

  it("is absent without pixel data, and of video", async () => {
    assert.deepEqual(await tableOf(image({})), {});
    const video = [...image({ frames: "100" }), encapsulated([], bytes(4))];
    assert.deepEqual(await tableOf(video, { syntax: "1.2.840.10008.1.2.4.102" }), {});
    const icon = sequence(0x00880200, [[encapsulated([], bytes(4))]]);
    assert.deepEqual(await tableOf([...image({}), icon], { syntax: syntaxUid.jpegBaseline }), {});
  });

  describe("of encapsulated pixel data", () => {
    it("one frame takes every fragment", async () => {
      assert.deepEqual((await assigned(undefined, [], bytes(4, 6, 2))).frames, [[1, 2, 3]]);
      assert.deepEqual((await assigned("1", [0], bytes(4, 6, 2))).frames, [[1, 2, 3]]);
    });

    it("as many fragments as frames are one each", async () => {
      assert.deepEqual((await assigned("3", [], bytes(4, 6, 2))).frames, [[1], [2], [3]]);
    });

    it("with a Basic Offset Table", async () => {
      assert.deepEqual((await assigned("2", [0, 26], bytes(4, 6, 2, 8))).frames, [
        [1, 2],
        [3, 4],
      ]);
      assert.deepEqual((await assigned("3", [0, 12, 26], bytes(4, 6, 2, 8))).frames, [[1], [2], [3, 4]]);
    });

    it("with a Basic Offset Table that lists the frames in another order than they lie", async () => {
      assert.deepEqual((await assigned("2", [26, 0], bytes(4, 6, 2, 8))).frames, [
        [3, 4],
        [1, 2],
      ]);
    });

    it("with a Basic Offset Table that is wrong: the fragments tell", async () => {
      const wrong = [[0, 13], [12, 26], [0, 0], [0], [0, 12, 26], [0, 12, 26, 36, 40], [4294967295, 0], [0, 1000]];
      for (const offsets of wrong) {
        const result = await assigned("2", offsets, starting("ffd8", "aaaa", "ffd8", "bbbb"));
        assert.deepEqual(
          result.frames,
          [
            [1, 2],
            [3, 4],
          ],
          offsets.join(),
        );
        assert.equal(result.fault, undefined);
      }
    });

    it("without a table: a frame begins where its bytes say so", async () => {
      const cases: readonly [starts: string[], expected: number[][]][] = [
        [
          ["ffd8", "0000", "ffd8", "0000", "0000"],
          [
            [1, 2],
            [3, 4, 5],
          ],
        ],
        [
          ["ff4f", "ff4f", "0000"],
          [[1], [2, 3]],
        ],
        [
          ["ff0a", "0000", "ff0a"],
          [[1, 2], [3]],
        ],
      ];
      for (const [starts, expected] of cases)
        assert.deepEqual((await assigned("2", [], starting(...starts))).frames, expected);
    });

    it("without a table, and more beginnings than frames: no guess", async () => {
      const result = await assigned("2", [], starting("ffd8", "ffd8", "ffd8"));
      assert.equal(result.frames, undefined);
      assert.equal(result.fault, "2 frames are declared; its 3 fragments cannot be assigned to them.");
    });

    it("of RLE: a fragment is a frame", async () => {
      const options = { syntax: syntaxUid.rle };
      assert.deepEqual((await assigned("2", [], bytes(64, 64), options)).frames, [[1], [2]]);
      assert.equal((await assigned("2", [], bytes(64, 64, 64), options)).frames, undefined);
      assert.deepEqual(
        await assigned("3", [], bytes(64, 64), options).then(({ frames: found, fault }) => [found, fault]),
        [[[1], [2]], "3 frames are declared and 2 are there."],
      );
    });

    it("with fewer frames than declared: those that are there", async () => {
      const result = await assigned("4", [], starting("ffd8", "0000", "ffd8"));
      assert.deepEqual(result.frames, [[1, 2], [3]]);
      assert.equal(result.fault, "4 frames are declared and 2 are there.");
    });

    it("without fragments", async () => {
      const result = await assigned("1", [], []);
      assert.deepEqual(
        [result.frames, result.fault],
        [undefined, "1 frames are declared; its 0 fragments cannot be assigned to them."],
      );
    });

    describe("with an Extended Offset Table", () => {
      const tablesOf = (offsets: number[], lengths: number[]) => [
        element(0x7fe00001, "OV", offsets),
        element(0x7fe00002, "OV", lengths),
      ];

      it("that is right: its lengths leave out the padding", async () => {
        const { frames: found, table } = await assigned("2", [], bytes(4, 6), { tables: tablesOf([0, 12], [3, 6]) });
        assert.deepEqual(found, [[1], [2]]);
        assert.deepEqual(
          table?.frames.map((frame) => frame.map(({ length }) => length)),
          [[3], [6]],
        );
      });

      it("in another order than the fragments", async () => {
        const { frames: found } = await assigned("2", [], bytes(4, 6), { tables: tablesOf([12, 0], [6, 4]) });
        assert.deepEqual(found, [[2], [1]]);
      });

      it("of which a half is missing: the fragments tell", async () => {
        for (const table of tablesOf([12, 0], [6, 4])) {
          assert.deepEqual((await assigned("2", [], bytes(4, 6), { tables: [table] })).frames, [[1], [2]]);
        }
      });

      it("that is wrong: the fragments tell", async () => {
        const wrong: readonly [offsets: number[], lengths: number[]][] = [
          [
            [0, 13],
            [4, 6],
          ],
          [
            [0, 12],
            [4, 7],
          ],
          [
            [0, 12],
            [4, 2],
          ],
          [[0], [4]],
          [[0, 12], [4]],
          [
            [0, 12, 30],
            [4, 6, 2],
          ],
          [
            [0, 0],
            [4, 4],
          ],
          [
            [0, 12, 30],
            [4, 6],
          ],
          [[], []],
        ];
        for (const [offsets, lengths] of wrong) {
          const result = await assigned("2", [], bytes(4, 6), { tables: tablesOf(offsets, lengths) });
          assert.deepEqual(
            [result.frames, result.fault],
            [[[1], [2]], undefined],
            `${offsets.join()}/${lengths.join()}`,
          );
        }
      });
    });
  });

  describe("short values", () => {
    it("are read with their padding, at the first of several, and not when ill-formed", async () => {
      const { dataSet } = await scanned(
        dicomFile([
          element(0x00080018, "UI", "1.2\0\0\0"),
          element(0x00080060, "CS", "  "),
          element(0x00200013, "IS", " 7 \\8"),
          element(0x00280008, "IS", "1.5"),
          element(0x00280010, "US", Buffer.from([1])),
          element(0x00280011, "US", [3, 4]),
        ]),
      );
      assert.equal(textOf(dataSet, 0x00080018), "1.2");
      assert.equal(textOf(dataSet, 0x00080060), undefined);
      assert.equal(textOf(dataSet, 0x00100010), undefined);
      assert.equal(integerOf(dataSet, 0x00200013), 7);
      assert.equal(integerOf(dataSet, 0x00280008), undefined);
      assert.equal(integerOf(dataSet, 0x00280010), undefined);
      assert.equal(integerOf(dataSet, 0x00280011), 3);
      assert.equal(elementOf(dataSet, 0x00280012), undefined);
    });
  });
});
