/** Range headers as they are read (RFC 9110 14.1.2), and several ranges in one message. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { contentRange, multipartByteRanges, parseRange } from "../../server/http/byte-range.ts";

/** Offsets and ends (exclusive) of what `header` asks for of 1000 bytes. */
function asked(header: string, byteLength = 1000): unknown {
  return parseRange(header, byteLength)?.map(({ offset, length }) => [offset, offset + length]);
}

describe("byte ranges", () => {
  it("reads first and last byte, an open end, and the last bytes", () => {
    assert.deepEqual(asked("bytes=0-0"), [[0, 1]]);
    assert.deepEqual(asked("bytes=10-19"), [[10, 20]]);
    assert.deepEqual(asked("bytes=990-"), [[990, 1000]]);
    assert.deepEqual(asked("bytes=990-99999999999999999999"), [[990, 1000]]);
    assert.deepEqual(asked("bytes=-10"), [[990, 1000]]);
    assert.deepEqual(asked("bytes=-5000"), [[0, 1000]]);
    assert.deepEqual(asked(" Bytes = 0-1 "), [[0, 2]]);
  });

  it("leaves out what is beyond the end; nothing is left for 416", () => {
    assert.deepEqual(asked("bytes=0-1, 1000-1001"), [[0, 2]]);
    assert.deepEqual(asked("bytes=1000-"), []);
    assert.deepEqual(asked("bytes=-0"), []);
  });

  it("takes what is no list of byte ranges for the wish for the whole", () => {
    for (const header of ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-1", "bytes=1-2;3", "lines=0-1"]) {
      assert.equal(parseRange(header, 1000), undefined, header);
    }
    assert.equal(parseRange("bytes=0-1", 0), undefined);
  });

  it("joins ranges that overlap or nearly touch, and keeps the order", () => {
    assert.deepEqual(asked("bytes=0-99,100-199"), [[0, 200]]);
    assert.deepEqual(asked("bytes=500-600,0-9,550-700"), [
      [500, 701],
      [0, 10],
    ]);
  });

  it("sends the whole rather than more than 16 ranges", () => {
    const many = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, index) => `${index * 1000}-${index * 1000}`).join(",")}`;
    assert.equal(parseRange(many(16), 100_000)?.length, 16);
    assert.equal(parseRange(many(17), 100_000), undefined);
    assert.equal(parseRange(`bytes=${"0-0,".repeat(2000)}0-0`, 100), undefined);
  });

  it("writes several as multipart/byteranges of a length known beforehand", async () => {
    const bytes = Buffer.from("0123456789");
    async function* read({ offset, length } = { offset: 0, length: bytes.length }) {
      yield bytes.subarray(offset, offset + length);
    }
    const body = { byteLength: bytes.length, read };
    const ranges = [
      { offset: 8, length: 2 },
      { offset: 0, length: 3 },
    ];
    const message = multipartByteRanges(body, ranges, "image/jpeg");
    const chunks: Buffer[] = [];
    for await (const chunk of message.bytes) chunks.push(chunk);
    const boundary = message.contentType.replace("multipart/byteranges; boundary=", "");
    assert.equal(
      Buffer.concat(chunks).toString("latin1"),
      `--${boundary}\r\nContent-Type: image/jpeg\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n` +
        `--${boundary}\r\nContent-Type: image/jpeg\r\nContent-Range: bytes 0-2/10\r\n\r\n012\r\n--${boundary}--\r\n`,
    );
    assert.equal(Buffer.concat(chunks).length, message.byteLength);
    assert.equal(contentRange(10), "bytes */10");
  });
});
