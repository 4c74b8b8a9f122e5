/** Data sets alone, as they are stored and in every other native transfer syntax: written here by hand, and compared. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inflateRawSync } from "node:zlib";
import { dataSetBytes, dataSetSyntaxes, sendableSyntaxes } from "../../server/archive/convert.ts";
import {
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
import { heldObject, joined } from "../support/held-object.ts";

const { implicitLittle: implicit, explicitLittle: explicit, explicitBig: big, deflated, jpegBaseline } = syntaxUid;
const encodings = {
  [implicit]: implicitLittle,
  [explicit]: explicitLittle,
  [big]: explicitBig,
  [deflated]: explicitLittle,
};

const open = { open: true, openItems: true };

/** One of each kind of value: text, numbers of every width, a sequence in a sequence, private ones, and long values. */
const elements = (pixels: number): Piece[] => [
  element(0x00080005, "CS", "ISO_IR 192"),
  element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
  element(0x00080018, "UI", "1.2.3.4"),
  element(0x00081140, "SQ", ""),
  element(0x00090010, "LO", "NOCTIS TEST"),
  element(0x00091001, "UN", Buffer.from([1, 2, 3, 4])),
  element(0x00100010, "PN", "Test^Patient"),
  element(0x00180050, "DS", "1.5"),
  element(0x00189074, "DT", "20240102101112"),
  element(0x00280009, "AT", [0x00181063]),
  element(0x00280010, "US", [1, 0x0102]),
  element(0x00280103, "US", [0]),
  sequence(
    0x00400275,
    [[element(0x00400007, "LO", "inner"), sequence(0x00400008, [[], [element(0x00080100, "SH", "C1")]], open)]],
    open,
  ),
  element(0x00720074, "FD", [1.25, -3]),
  element(0x00720076, "FL", [0.5]),
  element(0x00720078, "UL", [0x01020304, 5]),
  element(0x0072007c, "SL", [-2]),
  element(0x60003000, "OW", Buffer.alloc(0)),
  (encoding) => element(0x7fe00010, "OW", words(pixels, encoding.littleEndian))(encoding),
];

function words(count: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.from(Uint16Array.from({ length: count }, (_, index) => index * 7).buffer);
  return littleEndian ? bytes : bytes.swap16();
}

/** Whether it is held to be converted, or read twice. */
const sizes = { held: 3000, "read twice": 1_200_000 };

describe("the data set of an instance alone", () => {
  it("is as it was stored in the syntax that it was stored in", async () => {
    const pieces = [element(0x00080000, "UL", [999]), ...elements(16), raw("odd")];
    for (const syntax of [implicit, explicit, big]) {
      const file = dicomFile(pieces, { syntax });
      const { blobs, place } = await heldObject(file, syntax);
      const found = await joined(dataSetBytes(blobs, place, syntax));
      assert.ok(found.equals(write(pieces, encodings[syntax])), syntax);
    }
    const compressed = dicomFile([encapsulated([], [Buffer.from("ffd8ffd9", "hex")])], { syntax: jpegBaseline });
    const { blobs, place } = await heldObject(compressed, jpegBaseline);
    const found = await joined(dataSetBytes(blobs, place, jpegBaseline));
    assert.ok(found.equals(compressed.subarray(place.dataSetOffset)));
  });

  for (const [how, pixels] of Object.entries(sizes)) {
    for (const stored of [implicit, explicit, big, deflated]) {
      it(`is the same in every native syntax when it is stored in ${stored} (${how})`, async () => {
        const { blobs, place } = await heldObject(dicomFile(elements(pixels), { syntax: stored }), stored);
        for (const wanted of [implicit, explicit, big]) {
          const found = await joined(dataSetBytes(blobs, place, wanted));
          assert.ok(found.equals(write(elements(pixels), encodings[wanted])), wanted);
        }
        const found = await joined(dataSetBytes(blobs, place, deflated));
        if (stored !== deflated) assert.equal(found.length % 2, 0);
        assert.ok(inflateRawSync(found).equals(write(elements(pixels), explicitLittle)));
      });
    }
  }

  it("leaves out group lengths, and pads what is odd", async () => {
    const odd = [element(0x00080000, "UL", [12]), element(0x00100020, "LO", Buffer.from("ODD"))];
    const { blobs, place } = await heldObject(dicomFile(odd), explicit);
    const even = [element(0x00100020, "LO", Buffer.from("ODD "))];
    assert.ok((await joined(dataSetBytes(blobs, place, implicit))).equals(write(even, implicitLittle)));
  });

  it("is not made of compressed pixels, wherever they lie", async () => {
    const pixels = encapsulated([], [Buffer.from("ffd8ffd9", "hex")]);
    const compressed = await heldObject(dicomFile([pixels], { syntax: jpegBaseline }), jpegBaseline);
    const notAcceptable = { code: "not-acceptable" };
    await assert.rejects(joined(dataSetBytes(compressed.blobs, compressed.place, explicit)), notAcceptable);
    const icon = sequence(0x00880200, [[pixels]], open);
    for (const inside of [pixels, icon]) {
      const { blobs, place } = await heldObject(dicomFile([inside]), explicit);
      await assert.rejects(joined(dataSetBytes(blobs, place, implicit)), notAcceptable);
    }
  });

  it("can be had in every native syntax when it is stored in one, and in no other when it is not", () => {
    assert.deepEqual(dataSetSyntaxes(big), [big, explicit, implicit, deflated]);
    assert.deepEqual(dataSetSyntaxes(jpegBaseline), [jpegBaseline]);
    assert.deepEqual(dataSetSyntaxes("1.2.3.4.5"), ["1.2.3.4.5"]);
    assert.deepEqual(sendableSyntaxes(explicit), [explicit]);
    assert.deepEqual(sendableSyntaxes(deflated), [deflated, explicit]);
  });
});
