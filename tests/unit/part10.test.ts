/** Files as a whole: preamble, file meta information, transfer syntaxes, deflated data sets, memory. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";
import { toDicomJson } from "../../server/dicom/json.ts";
import { defaultLimits } from "../../server/dicom/limits.ts";
import { Part10Scan, type ScannedFile } from "../../server/dicom/part10.ts";
import { heldBuffers } from "../contract/bodies.ts";
import {
  delimiter,
  dicomFile,
  element,
  explicitBig,
  explicitLittle,
  implicitLittle,
  metaGroup,
  type Piece,
  raw,
  sequence,
  syntaxUid,
  write,
} from "../support/dicom-writer.ts";
import { faultOf, repeatable, scanned, scanOnce } from "../support/scan.ts";

const pieces: readonly Piece[] = [
  element(0x00080005, "CS", "ISO_IR 100"),
  element(0x00080060, "CS", "CT"),
  sequence(0x00081140, [[element(0x00081150, "UI", "1.2.3")], []], { open: true, openItems: true }),
  element(0x00100010, "PN", "Doe^J\xe9"),
  element(0x00280010, "US", [512]),
  element(0x00280030, "DS", "0.5\\0.5"),
  element(0x7fe00010, "OW", Buffer.alloc(64, 7)),
];

const jsonOf = (file: ScannedFile) => toDicomJson(file.dataSet, { bulkDataUri: (path) => path }).json;
const messages = (file: ScannedFile) => file.warnings.map(({ message }) => message).join(" ");

describe("part 10", () => {
  it("reads a file given as bytes", async () => {
    // (0002,0000) UL 4 bytes: 28; (0002,0010) UI 20 bytes: 1.2.840.10008.1.2.1 and a NUL
    const meta = "0200000055 4c0400 1c000000 02001000 5549 1400 312e322e3834302e31303030382e312e322e3100";
    // (0008,0060) CS 2 bytes: MR; (0028,0010) US 2 bytes: 256
    const dataSet = "08006000 4353 0200 4d52 28001000 5553 0200 0001";
    const hex = (text: string) => Buffer.from(text.replaceAll(" ", ""), "hex");
    const file = await scanned(Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), hex(meta), hex(dataSet)]));
    assert.equal(file.transferSyntax.uid, syntaxUid.explicitLittle);
    assert.equal(file.dataSetOffset, 172);
    assert.deepEqual(jsonOf(file), {
      "00080060": { vr: "CS", Value: ["MR"] },
      "00280010": { vr: "US", Value: [256] },
    });
    assert.deepEqual(file.warnings, []);
  });

  it("reads the same from every native transfer syntax", async () => {
    const expected = jsonOf(await scanned(dicomFile(pieces)));
    assert.deepEqual(expected["00100010"], { vr: "PN", Value: [{ Alphabetic: "Doe^Jé" }] });
    assert.deepEqual(expected["00081140"], { vr: "SQ", Value: [{ "00081150": { vr: "UI", Value: ["1.2.3"] } }, {}] });
    for (const syntax of [syntaxUid.implicitLittle, syntaxUid.explicitBig, syntaxUid.deflated]) {
      const file = await scanned(dicomFile(pieces, { syntax }));
      assert.equal(file.transferSyntax.uid, syntax);
      assert.deepEqual(jsonOf(file), expected, syntax);
      assert.deepEqual(file.warnings, []);
      assert.deepEqual(file.pixelData?.kind, "native");
    }
  });

  it("takes an unknown transfer syntax for explicit VR little endian, and refuses one that is no UID", async () => {
    const file = await scanned(dicomFile(pieces, { syntax: "1.2.3.4.5" }));
    assert.deepEqual([file.transferSyntax.uid, file.transferSyntax.explicitVr], ["1.2.3.4.5", true]);
    assert.equal(await faultOf(dicomFile(pieces, { syntax: "abc" })), "unknown-transfer-syntax");
  });

  describe("what senders leave out", () => {
    it("the preamble", async () => {
      const file = await scanned(dicomFile(pieces, { preamble: false }));
      assert.match(messages(file), /no preamble/);
      assert.equal(jsonOf(file)["00080060"]?.Value?.[0], "CT");
      assert.equal(file.transferSyntax.uid, syntaxUid.explicitLittle);
    });

    it("preamble and file meta information", async () => {
      for (const encoding of [explicitLittle, explicitBig, implicitLittle]) {
        const file = await scanned(write(pieces, encoding));
        assert.equal(jsonOf(file)["00080060"]?.Value?.[0], "CT");
        assert.equal(file.dataSetOffset, 0);
        assert.equal(file.transferSyntax.littleEndian, encoding.littleEndian);
        assert.equal(file.transferSyntax.explicitVr, encoding.explicitVr);
      }
    });

    it("all of it, before a group length or a private element", async () => {
      const firsts = [element(0x00080000, "UL", [100]), element(0x00090010, "LO", "ACME")];
      for (const encoding of [explicitLittle, explicitBig, implicitLittle]) {
        for (const first of firsts) {
          const file = await scanned(write([first, ...pieces.slice(3)], encoding));
          assert.equal(jsonOf(file)["00280010"]?.Value?.[0], 512);
        }
      }
    });

    it("the file meta information behind a preamble", async () => {
      const file = await scanned(dicomFile(pieces, { syntax: null, encoding: implicitLittle }));
      assert.equal(file.transferSyntax.uid, syntaxUid.implicitLittle);
      assert.match(messages(file), /no Transfer Syntax UID/);
    });

    it("the transfer syntax", async () => {
      const meta = [element(0x00020002, "UI", "1.2.840.10008.5.1.4.1.1.7")];
      for (const encoding of [explicitLittle, explicitBig, implicitLittle]) {
        const file = await scanned(dicomFile(pieces, { syntax: null, meta, encoding }));
        assert.equal(jsonOf(file)["00080060"]?.Value?.[0], "CT");
        assert.equal(file.meta.elements.length, 2);
      }
    });

    it("the group length", async () => {
      const meta = write([element(0x00020010, "UI", syntaxUid.implicitLittle)], explicitLittle);
      const bytes = Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), meta, write(pieces, implicitLittle)]);
      assert.equal((await scanned(bytes)).transferSyntax.uid, syntaxUid.implicitLittle);
    });
  });

  it("finds the prefix behind any preamble, and none in a data set that happens to hold its letters", async () => {
    const element8 = write([element(0x00080008, "CS", "A".repeat(120))], explicitLittle);
    const tiff = Buffer.concat([Buffer.from("II*\0"), Buffer.alloc(124, 1)]);
    for (const preamble of [tiff, element8]) {
      const bytes = dicomFile(pieces);
      preamble.copy(bytes);
      assert.equal((await scanned(bytes)).dataSetOffset, (await scanned(dicomFile(pieces))).dataSetOffset);
    }
    const chance = write(
      [element(0x00080008, "CS", `${"A".repeat(120)}DICM${"A".repeat(40)}`), ...pieces],
      explicitLittle,
    );
    assert.equal(chance.toString("latin1", 128, 132), "DICM");
    assert.equal((await scanned(chance)).dataSetOffset, 0);
  });

  it("reads a file meta information in implicit VR, and one whose group length is wrong", async () => {
    const meta = write([element(0x00020010, "UI", syntaxUid.explicitLittle)], implicitLittle);
    const start = [Buffer.alloc(128), Buffer.from("DICM")];
    const implicit = await scanned(Buffer.concat([...start, meta, write(pieces, explicitLittle)]));
    assert.equal(implicit.transferSyntax.uid, syntaxUid.explicitLittle);
    assert.deepEqual(
      implicit.meta.elements.map(({ tag, vr }) => [tag, vr]),
      [[0x00020010, "UI"]],
    );
    assert.deepEqual(
      (await scanned(dicomFile(pieces))).meta.elements.map(({ vr }) => vr),
      ["UL", "UI"],
    );
    for (const length of [0, 2, 4000]) {
      const wrong = write([element(0x00020000, "UL", [length])], explicitLittle);
      const right = write([element(0x00020010, "UI", syntaxUid.implicitLittle)], explicitLittle);
      const file = await scanned(Buffer.concat([...start, wrong, right, write(pieces, implicitLittle)]));
      assert.equal(jsonOf(file)["00080060"]?.Value?.[0], "CT");
    }
  });

  it("believes the data set rather than the transfer syntax, and warns", async () => {
    const cases = [
      [syntaxUid.explicitLittle, implicitLittle],
      [syntaxUid.implicitLittle, explicitLittle],
      [syntaxUid.explicitBig, explicitLittle],
      [syntaxUid.explicitLittle, explicitBig],
      [syntaxUid.jpegBaseline, implicitLittle],
    ] as const;
    for (const [syntax, encoding] of cases) {
      const file = await scanned(dicomFile(pieces, { syntax, encoding }));
      assert.equal(file.transferSyntax.uid, syntax);
      assert.match(messages(file), /is not in/);
      assert.equal(jsonOf(file)["00280010"]?.Value?.[0], 512);
    }
  });

  it("does not take a VR newer than the table for an implicit length", async () => {
    const first = raw("\x08\x00\x01\x00ZZ\0\0\x02\0\0\0ab");
    const file = await scanned(dicomFile([first, ...pieces]));
    assert.deepEqual(file.warnings, []);
    assert.deepEqual(jsonOf(file)["00080060"]?.Value, ["CT"]);
    assert.deepEqual(jsonOf(file)["00080001"], { vr: "UN", InlineBinary: "YWI=" });
  });

  describe("deflated", () => {
    const bytes = dicomFile(pieces, { syntax: syntaxUid.deflated });

    it("with a padding byte, as its own chunk or not, and with much behind it", async () => {
      const expected = jsonOf(await scanned(bytes));
      for (const padding of [1, 2, 70_000]) {
        const padded = Buffer.concat([bytes, Buffer.alloc(padding)]);
        assert.deepEqual(jsonOf(await scanOnce(padded)), expected);
        assert.deepEqual(jsonOf(await scanOnce(padded, () => bytes.length)), expected);
        assert.deepEqual(jsonOf(await scanOnce(padded, () => 13)), expected);
      }
    });

    it("holds nothing of what stands behind its end", async () => {
      const scan = new Part10Scan();
      await scan.push(bytes);
      const held = await heldBuffers();
      for (let count = 0; count < 400; count += 1) await scan.push(Buffer.alloc(65_536, 1));
      assert.ok((await held(2)) < 2);
      assert.equal((await scan.end()).dataSet.elements.length, pieces.length);
    });

    it("truncated anywhere", async () => {
      const start = bytes.length - deflateRawSync(write(pieces, explicitLittle)).length;
      for (let end = start + 1; end < bytes.length; end += 1) {
        assert.equal(await faultOf(bytes.subarray(0, end)), "truncated-dicom", `${end}`);
      }
    });

    it("of bytes that are not deflated", async () => {
      const broken = Buffer.concat([bytes.subarray(0, 180), Buffer.alloc(400, 0xff)]);
      assert.equal(await faultOf(broken), "malformed-dicom");
    });

    it("of a data set that is malformed", async () => {
      const body = deflateRawSync(write([raw("\x08\x00\x05\x00\x01\x02\x03\x04")], explicitLittle));
      const start = [Buffer.alloc(128), Buffer.from("DICM"), metaGroup(syntaxUid.deflated)];
      assert.equal(await faultOf(Buffer.concat([...start, body])), "malformed-dicom");
    });

    it("that begins with the bytes of group 2", async () => {
      // 02 00: an empty block of fixed codes, and the head of a stored block; LEN, NLEN; 03 00: an empty last block.
      const body = write(pieces, explicitLittle);
      const length = [body.length & 255, body.length >> 8, ~body.length & 255, (~body.length >> 8) & 255];
      const deflated = [Buffer.from([2, 0, ...length]), body, Buffer.from([3, 0])];
      const start = [Buffer.alloc(128), Buffer.from("DICM"), metaGroup(syntaxUid.deflated)];
      const file = await scanned(Buffer.concat([...start, ...deflated]));
      assert.deepEqual(jsonOf(file)["00080060"]?.Value, ["CT"]);
    });

    it("beyond the limit, stopped at once", async () => {
      const bomb = dicomFile([...pieces, element(0xfffcfffc, "OB", Buffer.alloc(8 * 2 ** 20))], {
        syntax: syntaxUid.deflated,
      });
      assert.ok(bomb.length < 20_000);
      const limits = { ...defaultLimits, inflatedLength: 100_000 };
      const scan = new Part10Scan(limits);
      const pushing = async () => {
        for (let at = 0; at < bomb.length; at += 64) await scan.push(bomb.subarray(at, at + 64));
      };
      await assert.rejects(pushing, { code: "header-too-large" });
      assert.equal(await faultOf(bomb, limits), "header-too-large");
      assert.equal(await faultOf(bomb), undefined);
    });
  });

  describe("what is no DICOM file", () => {
    const random = repeatable(5);
    const cases: Readonly<Record<string, Buffer>> = {
      nothing: Buffer.alloc(0),
      "one byte": Buffer.from("a"),
      text: Buffer.from("GET / HTTP/1.1\r\nHost: example\r\n\r\n".repeat(20)),
      zeros: Buffer.alloc(4096),
      "a PNG": Buffer.concat([Buffer.from("\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "latin1"), Buffer.alloc(300)]),
      noise: Buffer.from(Array.from({ length: 1000 }, () => 128 + random(128))),
      "a preamble alone": Buffer.concat([Buffer.alloc(128), Buffer.from("DICM")]),
    };
    for (const [name, bytes] of Object.entries(cases)) {
      it(name, async () => assert.equal(await faultOf(bytes), "not-dicom"));
    }
  });

  it("takes a file of file meta information alone for an empty data set", async () => {
    const file = await scanned(dicomFile([]));
    assert.deepEqual(file.dataSet.elements, []);
  });

  it("refuses a file meta information without end, whatever the chunks", async () => {
    const long = element(0x00020102, "OB", Buffer.alloc(300_000));
    const bytes = dicomFile(pieces, { meta: [long, long, long, long] });
    for (const length of [bytes.length, 65_536, 1000]) {
      await assert.rejects(
        scanOnce(bytes, () => length),
        { code: "header-too-large" },
      );
    }
    const huge = Buffer.concat([
      Buffer.alloc(128),
      Buffer.from("DICM"),
      delimiter(0x00020010, 0x7fffffff, explicitLittle),
    ]);
    assert.equal(await faultOf(Buffer.concat([huge, Buffer.alloc(100)])), "header-too-large");
  });

  it("holds a few megabytes of an instance of 200", async () => {
    const start = dicomFile([
      ...pieces.slice(0, -1),
      (encoding) => element(0x7fe00010, "OW")(encoding).fill(0),
    ]).subarray(0, -12);
    const length = 200 * 2 ** 20;
    const header = Buffer.from("e07f10004f570000", "hex");
    const size = Buffer.alloc(4);
    size.writeUInt32LE(length);
    const scan = new Part10Scan();
    await scan.push(Buffer.concat([start, header, size]));
    const held = await heldBuffers();
    const heap = process.memoryUsage().heapUsed;
    for (let at = 0; at < length; at += 65_536) {
      await scan.push(Buffer.alloc(65_536));
      if (at % (50 * 2 ** 20) === 0) assert.ok((await held(4)) < 4);
    }
    assert.ok((await held(4)) < 4);
    assert.ok(process.memoryUsage().heapUsed - heap < 4 * 2 ** 20);
    assert.equal((await scan.end()).pixelData?.kind, "native");
  });

  it("does not keep a chunk for the sake of a short value in it", async () => {
    const scan = new Part10Scan();
    await scan.push(dicomFile([]));
    await scan.push(write([element(0x00080005, "CS", "ISO_IR 100")], explicitLittle));
    const held = await heldBuffers();
    for (let count = 0; count < 400; count += 1) {
      const short = element(0x00090010 + count * 2, "LO", "ab");
      const long = element(0x00090011 + count * 2, "OB", Buffer.alloc(65_000));
      await scan.push(write([short, long], explicitLittle));
    }
    assert.ok((await held(2)) < 2);
    assert.equal((await scan.end()).dataSet.elements.length, 801);
  });
});
