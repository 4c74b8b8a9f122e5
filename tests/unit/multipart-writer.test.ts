/** Multipart bodies as they are written: RFC 2387, and the spelling that OHIF wants. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readMultipart } from "../../server/http/multipart-reader.ts";
import { multipartRelated, type OutgoingPart } from "../../server/http/multipart-writer.ts";

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

async function* stream(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield latin1(text);
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

const boundaryOf = (contentType: string): string => contentType.split("; boundary=")[1] ?? "";
const randomBoundary = (): string => boundaryOf(multipartRelated([], { type: "a/b" }).contentType);

describe("multipart writer", () => {
  it("writes parts with the headers spelt as viewers expect", async () => {
    const { contentType, body } = multipartRelated(
      [
        { contentType: "application/dicom", contentLocation: "/dicom-web/studies/1", body: latin1("one") },
        { contentType: "image/jpeg; transfer-syntax=1.2", body: stream("t", "wo") },
        { contentType: "a/b", byteLength: 5, body: stream("three") },
      ],
      { type: "application/dicom", boundary: "b" },
    );
    assert.equal(contentType, 'multipart/related; type="application/dicom"; boundary=b');
    assert.equal(
      await textOf(body),
      "--b\r\nContent-Type: application/dicom\r\nContent-Location: /dicom-web/studies/1\r\nContent-Length: 3\r\n\r\none\r\n" +
        "--b\r\nContent-Type: image/jpeg; transfer-syntax=1.2\r\n\r\ntwo\r\n" +
        "--b\r\nContent-Type: a/b\r\nContent-Length: 5\r\n\r\nthree\r\n--b--\r\n",
    );
  });

  it("makes another boundary of 36 characters or more each time, a token", () => {
    assert.match(randomBoundary(), /^[0-9a-z-]{36,70}$/);
    assert.notEqual(randomBoundary(), randomBoundary());
  });

  it("is read back by the reader, none, one or many parts", async () => {
    for (const count of [0, 1, 5]) {
      const texts = Array.from({ length: count }, (_, index) => "x\r\n--".repeat(index));
      const parts = texts.map((text): OutgoingPart => ({ contentType: "a/b", body: stream(text) }));
      const { contentType, body } = multipartRelated(parts, { type: "a/b" });
      const read: string[] = [];
      for await (const part of readMultipart(body, boundaryOf(contentType))) {
        assert.equal(part.headers.get("content-type"), "a/b");
        read.push(await textOf(part.body));
      }
      assert.deepEqual(read, texts);
    }
  });

  it("writes the closing delimiter alone where there is no part", async () => {
    assert.equal(await textOf(multipartRelated([], { type: "a/b", boundary: "b" }).body), "--b--\r\n");
  });

  it("pulls parts one at a time, passes on a failure, and leaves the parts when it is left", async () => {
    const begun: string[] = [];
    const ended: string[] = [];
    async function* bytesOf(name: string): AsyncGenerator<Uint8Array> {
      begun.push(name);
      try {
        yield latin1(name);
        yield latin1(name);
        if (name === "bad") throw new Error("gone");
      } finally {
        ended.push(name);
      }
    }
    async function* parts(): AsyncGenerator<OutgoingPart> {
      for (const name of ["good", "bad", "never"]) yield { contentType: "a/b", body: bytesOf(name) };
    }
    await assert.rejects(textOf(multipartRelated(parts(), { type: "a/b" }).body), /gone/);
    assert.deepEqual(
      [begun, ended],
      [
        ["good", "bad"],
        ["good", "bad"],
      ],
    );
    for await (const chunk of multipartRelated(parts(), { type: "a/b" }).body) {
      if (chunk.toString() === "good") break;
    }
    assert.deepEqual(ended, ["good", "bad", "good"]);
  });

  it("refuses to write a header that would be two", async () => {
    const parts = [{ contentType: "a/b\r\nX: y", body: latin1("") }];
    assert.throws(() => multipartRelated(parts, { type: "a/b" }), { name: "ArchiveError", code: "internal" });
    const { body } = multipartRelated(parts.values(), { type: "a/b" });
    await assert.rejects(textOf(body), { name: "ArchiveError", code: "internal" });
  });

  it("tells the length of the whole where every part tells its own", async () => {
    const parts = [
      { contentType: "a/b", body: latin1("one") },
      { contentType: "a/b", byteLength: 5, body: stream("th", "ree") },
    ];
    const { body, byteLength } = multipartRelated(parts, { type: "a/b" });
    assert.equal((await textOf(body)).length, byteLength);
    assert.equal(multipartRelated([{ contentType: "a/b", body: stream("x") }], { type: "a/b" }).byteLength, undefined);
    const none = multipartRelated([], { type: "a/b" });
    assert.equal((await textOf(none.body)).length, none.byteLength);
  });
});
