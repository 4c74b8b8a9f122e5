/** Frame tables as bytes: what is written is read again, in few bytes, and broken bytes are refused. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decodeFrameTable, encodeFrameTable } from "../../server/dicom/frame-table.ts";
import type { FrameTable } from "../../server/dicom/frames.ts";
import { repeatable } from "../support/scan.ts";

const roundTrip = (table: FrameTable) => assert.deepEqual(decodeFrameTable(encodeFrameTable(table)), table);

describe("frame table bytes", () => {
  it("of a native table are as they were", () => {
    // Version 1, native, offset 300 (2C AC+02), 128 bits, 5 frames, samples of 2 bytes.
    const golden = Buffer.from("0100ac0280010502", "hex");
    const table = { kind: "native", offset: 300, frameBits: 128, count: 5, sampleBytes: 2 } as const;
    assert.deepEqual(encodeFrameTable(table), golden);
    assert.deepEqual(decodeFrameTable(golden), table);
  });

  it("of an encapsulated table are as they were", () => {
    // Version 1, encapsulated, 2 frames: 1 fragment 200 on, 10 long; 2 fragments: back by 20, 3 long, and on by 8, 4 long.
    const golden = Buffer.from("0101020190030a02290310 04".replaceAll(" ", ""), "hex");
    const frames = [
      [{ offset: 200, length: 10 }],
      [
        { offset: 190, length: 3 },
        { offset: 201, length: 4 },
      ],
    ];
    assert.deepEqual(encodeFrameTable({ kind: "encapsulated", frames }), golden);
    assert.deepEqual(decodeFrameTable(golden), { kind: "encapsulated", frames });
  });

  it("come back for every sample width and for offsets beyond 2^32", () => {
    for (const sampleBytes of [1, 2, 4, 8] as const) {
      roundTrip({ kind: "native", offset: 2 ** 40 + 1, frameBits: 2 ** 45 + 3, count: 2 ** 31, sampleBytes });
    }
    const far = { offset: 2 ** 51 - 5, length: 2 ** 33 };
    roundTrip({ kind: "encapsulated", frames: [[far], [{ offset: 0, length: 0 }], [far]] });
    roundTrip({ kind: "encapsulated", frames: [] });
    roundTrip({ kind: "encapsulated", frames: [[], [far]] });
  });

  it("come back for random tables in any order", () => {
    const random = repeatable(3);
    for (let round = 0; round < 300; round += 1) {
      const segment = () => ({ offset: random(2 ** 31) * (random(3) === 0 ? 2 ** 18 : 1), length: random(2 ** 31) });
      const frames = Array.from({ length: random(8) }, () => Array.from({ length: random(4) }, segment));
      roundTrip({ kind: "encapsulated", frames });
    }
  });

  it("are about four a frame of a slide", () => {
    const frames = Array.from({ length: 1000 }, (_, index) => [{ offset: 5000 + index * 9008, length: 9000 }]);
    const bytes = encodeFrameTable({ kind: "encapsulated", frames });
    assert.ok(bytes.length < 4100);
  });

  it("are refused when they are of another version or cut", () => {
    const bytes = encodeFrameTable({ kind: "encapsulated", frames: [[{ offset: 2 ** 33, length: 300 }]] });
    for (let end = 0; end < bytes.length; end += 1)
      assert.throws(() => decodeFrameTable(bytes.subarray(0, end)), RangeError);
    assert.throws(() => decodeFrameTable(Buffer.concat([Buffer.from([2]), bytes.subarray(1)])), RangeError);
  });
});
