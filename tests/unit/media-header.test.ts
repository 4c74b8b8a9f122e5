/** Headers of media: what they tell, and what becomes of broken and hostile ones. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { mediaOf } from "../../server/archive/media-classes.ts";
import { readJpeg2000Header } from "../../server/dicom/jpeg2000-header.ts";
import { readJpegHeader } from "../../server/dicom/jpeg-header.ts";
import { reader } from "../../server/dicom/media-header.ts";
import { readMp4Header } from "../../server/dicom/mp4-header.ts";
import { readMpeg2Header } from "../../server/dicom/mpeg2-header.ts";
import type { ByteSource } from "../../server/dicom/part10-writer.ts";
import { ArchiveError } from "../../server/errors.ts";
import { j2k, jp2, jpeg, mp4 } from "../support/media.ts";
import { repeatable } from "../support/scan.ts";

function sourceOf(bytes: Buffer): ByteSource & { reads: number } {
  const source = {
    reads: 0,
    byteLength: bytes.length,
    async *bytes(offset = 0, length = bytes.length) {
      source.reads += 1;
      yield bytes.subarray(offset, offset + length);
    },
  };
  return source;
}

/** A sequence header of 704 x 576 pixels and 25 frames a second. */
const mpeg2 = Buffer.from([0, 0, 1, 0xba, 9, 9, 0, 0, 1, 0xb3, 0x2c, 0x02, 0x40, 0x33, 0xff, 0xff, 0xe0]);

/** A JPEG header of one process: SOI, segments before, SOF, SOS. */
function jpegOf(
  sof: number,
  { ids = [1, 2, 3], parameter = 0, segments = Buffer.alloc(0), precision = 8 } = {},
): Buffer {
  const frame = [0xff, sof, 0, 8 + ids.length * 3, precision, 0, 6, 0, 8, ids.length];
  const scan = [0xff, 0xda, 0, 6 + ids.length * 2, ids.length, ...ids.flatMap((id) => [id, 0]), parameter, 0, 0];
  return Buffer.from([0xff, 0xd8, ...segments, ...frame, ...ids.flatMap((id) => [id, 0x11, 0]), ...scan]);
}

describe("headers of media", () => {
  it("of JPEG tell the process", async () => {
    const cases: readonly (readonly [sof: number, parameter: number, syntax: string])[] = [
      [0xc0, 0, "1.2.840.10008.1.2.4.50"],
      [0xc1, 0, "1.2.840.10008.1.2.4.51"],
      [0xc2, 0, "1.2.840.10008.1.2.4.55"],
      [0xc3, 1, "1.2.840.10008.1.2.4.70"],
      [0xc3, 6, "1.2.840.10008.1.2.4.57"],
      [0xf7, 0, "1.2.840.10008.1.2.4.80"],
      [0xf7, 3, "1.2.840.10008.1.2.4.81"],
    ];
    for (const [sof, parameter, syntax] of cases) {
      const header = await readJpegHeader(sourceOf(jpegOf(sof, { parameter, ids: [1], precision: 12 })));
      assert.deepEqual([header.transferSyntaxUid, header.rows, header.columns, header.bitsStored], [syntax, 6, 8, 12]);
      assert.equal(header.lossyMethod === undefined, sof === 0xc3 || (sof === 0xf7 && parameter === 0));
      assert.equal(header.warnings.length, sof === 0xc2 ? 1 : 0);
    }
  });

  it("of JPEG tell the colours, by JFIF, by Adobe's segment, by the names of the components", async () => {
    const adobe = (transform: number) =>
      Buffer.from([0xff, 0xee, 0, 14, ...Buffer.from("Adobe"), 0, 100, 0, 0, 0, 0, transform]);
    const jfif = Buffer.from([0xff, 0xe0, 0, 16, ...Buffer.from("JFIF"), 0, 1, 1, 0, 0, 1, 0, 1, 0, 0]);
    const colours = async (bytes: Buffer) => (await readJpegHeader(sourceOf(bytes))).photometricInterpretation;
    assert.equal(await colours(jpegOf(0xc0)), "YBR_FULL");
    assert.equal(await colours(jpegOf(0xc0, { ids: [...Buffer.from("RGB")] })), "RGB");
    assert.equal(await colours(jpegOf(0xc0, { ids: [...Buffer.from("RGB")], segments: jfif })), "YBR_FULL");
    assert.equal(await colours(jpegOf(0xc0, { segments: adobe(0) })), "RGB");
    assert.equal(await colours(jpegOf(0xc0, { segments: adobe(1) })), "YBR_FULL");
    assert.equal(await colours(jpegOf(0xc3)), "RGB");
    assert.equal(await colours(jpegOf(0xc0, { ids: [1] })), "MONOCHROME2");
    assert.equal(await colours(jpeg), "YBR_FULL_422");
    await assert.rejects(colours(jpegOf(0xc0, { ids: [1, 2, 3, 4] })), /has 4 components/);
  });

  it("of JPEG 2000 tell where the codestream lies", async () => {
    const { codestream, ...described } = await readJpeg2000Header(sourceOf(jp2));
    assert.deepEqual(codestream, { offset: jp2.length - j2k.length, length: j2k.length });
    assert.deepEqual(described, await readJpeg2000Header(sourceOf(j2k)));
  });

  it("of MPEG-2 tell size, rate and level", async () => {
    const { rows, columns, frameTime, transferSyntaxUid } = await readMpeg2Header(sourceOf(mpeg2));
    assert.deepEqual([rows, columns, frameTime, transferSyntaxUid], [576, 704, 40, "1.2.840.10008.1.2.4.100"]);
  });

  it("are read in few pieces", async () => {
    const padded = Buffer.concat([
      jpeg.subarray(0, 2),
      ...Array.from({ length: 2000 }, () => Buffer.from([0xff, 0xe1, 0, 4, 0, 0])),
      jpeg.subarray(2),
    ]);
    const source = sourceOf(padded);
    await readJpegHeader(source);
    assert.equal(source.reads, 1);
    const far = sourceOf(mp4({ mediaBytes: 500_000 }));
    await readMp4Header(far);
    assert.ok(far.reads <= 2);
    const read = reader(sourceOf(Buffer.alloc(200_000, 1)));
    assert.deepEqual((await read(199_990, 100)).length, 10);
    assert.deepEqual((await read(300_000, 100)).length, 0);
  });

  it("that are broken throw an error of the archive and nothing else, soon", async () => {
    const random = repeatable(23);
    const originals = [
      [jpeg, readJpegHeader],
      [jp2, readJpeg2000Header],
      [j2k, readJpeg2000Header],
      [mp4(), readMp4Header],
      [mpeg2, readMpeg2Header],
    ] as const;
    for (let round = 0; round < 20_000; round += 1) {
      const [original, read] = originals[round % originals.length] ?? originals[0];
      const bytes = Buffer.from(original.subarray(0, random(8) === 0 ? random(original.length) : original.length));
      for (let change = 0; change <= random(4) && bytes.length > 0; change += 1) {
        const value = [0, 1, 0x7f, 0xff, random(256)][random(5)];
        bytes[random(bytes.length)] = value ?? 0;
      }
      try {
        const { rows, columns, bitsStored } = await read(sourceOf(bytes));
        assert.ok(bitsStored >= 1 && bitsStored <= 16);
        assert.ok(rows > 0 && columns > 0 && rows <= 0xffff && columns <= 0xffff);
      } catch (error) {
        assert.ok(error instanceof ArchiveError, `${String(error)} of ${bytes.toString("hex")}`);
        assert.equal(error.code, "malformed-media");
      }
    }
  });

  it("are known under the names that clients use", () => {
    assert.equal(mediaOf("application/sla"), mediaOf("model/stl"));
    assert.equal(mediaOf("image/x-jls"), mediaOf("image/jls"));
    assert.equal(mediaOf("constructor"), undefined);
  });
});
