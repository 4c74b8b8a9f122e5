/** Multipart bodies as they are read: RFC 2046 5.1.1, cut into chunks anywhere. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request } from "node:http";
import { describe, it } from "node:test";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";
import { readMultipart, type BodyPart, type MultipartLimits } from "../../server/http/multipart-reader.ts";

type Part = readonly [headers: Record<string, string>, body: string];

const latin1 = (text: string): Buffer => Buffer.from(text, "latin1");

/** `whole` in chunks of at most `size` bytes. */
async function* chunked(whole: string | Buffer, size = Infinity): AsyncGenerator<Uint8Array> {
  const bytes = typeof whole === "string" ? latin1(whole) : whole;
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, Math.min(bytes.length, at + size));
}

async function textOf(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return Buffer.concat(chunks).toString("latin1");
}

async function partsOf(
  source: AsyncIterable<Uint8Array>,
  boundary = "b",
  limits: Partial<MultipartLimits> = {},
): Promise<Part[]> {
  const parts: Part[] = [];
  for await (const { headers, body } of readMultipart(source, boundary, limits)) {
    parts.push([Object.fromEntries(headers), await textOf(body)]);
  }
  return parts;
}

/** A body of one part with these header lines. */
const one = (headers: string): string => `--b\r\n${headers}\r\n\r\none\r\n--b--`;

/** The same parts whatever the chunks. */
async function assertParts(whole: string, expected: readonly Part[], boundary = "b"): Promise<void> {
  for (const size of [1, 2, 3, 5, 7, Infinity]) {
    assert.deepEqual(await partsOf(chunked(whole, size), boundary), expected, `chunks of ${size}`);
  }
}

const withCode =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    error instanceof ArchiveError && error.code === code;

async function nextPart(parts: AsyncGenerator<BodyPart, void, undefined>): Promise<BodyPart> {
  const { value } = await parts.next();
  assert.ok(value);
  return value;
}

/** A small generator of repeatable numbers (mulberry32): an integer from 0 up to, not including, `limit`. */
function repeatable(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  };
}

describe("multipart reader", () => {
  it("reads parts with their headers", () =>
    assertParts("--b\r\nContent-Type: application/dicom\r\nX: 1\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", [
      [{ "content-type": "application/dicom", x: "1" }, "one"],
      [{}, "two"],
    ]));

  it("passes over preamble and epilogue", async () => {
    await assertParts("hello --b\r\n--bx\r\n\r\n--b\r\n\r\none\r\n--b--\r\nepilogue\r\n--b\r\n\r\nno\r\n--b--", [
      [{}, "one"],
    ]);
    // As OHIF stores: a line end before the first delimiter, none after the last.
    await assertParts("\r\n--b\r\nContent-Type: application/dicom\r\n\r\none\r\n--b--", [
      [{ "content-type": "application/dicom" }, "one"],
    ]);
  });

  it("tolerates transport padding, and lines that end in LF alone", async () => {
    await assertParts("--b \t \r\n\r\none\r\n--b\t\r\n\r\ntwo\r\n--b-- \r\n", [
      [{}, "one"],
      [{}, "two"],
    ]);
    await assertParts("--b\nA: 1\n\none\r\n--b\n\ntwo\n--b--\n", [
      [{ a: "1" }, "one\r"],
      [{}, "two"],
    ]);
    await assertParts("--b\r\nA: 1\n\r\none\n--b\n\r\n--b--", [[{ a: "1" }, "one\n--b\n"]]);
  });

  it("reads empty parts, and parts that have no blank line", async () => {
    await assertParts("--b\r\n\r\n\r\n--b\r\nA: 1\r\n\r\n\r\n--b--", [
      [{}, ""],
      [{ a: "1" }, ""],
    ]);
    await assertParts("--b\r\n\r\n--b\r\nA: 1\r\n\r\n--b--", [
      [{}, ""],
      [{ a: "1" }, ""],
    ]);
    await assertParts("--b\r\n--b\r\nA: 1\r\n--b--", [
      [{}, ""],
      [{ a: "1" }, ""],
    ]);
    await assertParts("--b--", []);
    await assertParts("\r\n--b--\r\n", []);
  });

  it("keeps what only looks like a delimiter", async () => {
    for (const body of [
      "\r\n--",
      "\r\n--a\r\n--B",
      "\r\n--bb\r\n--b-x\r\n--b \rx",
      "\r\r\n\n--b\r\n\r--b--",
      "--b-",
      "--bc\r\n",
      "\r\n--b\r",
      "\r\n--b-",
      `\r\n--b${" ".repeat(300)}\r\n`,
      "\r\n-\r\n-\r\n--\r\n--\r\n",
    ]) {
      await assertParts(`--b\r\n\r\n${body}\r\n--b--`, [[{}, body]]);
    }
    await assertParts("--b--\r\n\r\na\r\n--b\r\n--b----", [[{}, "a\r\n--b"]], "b--");
  });

  it("unfolds header lines, and takes the first of a repeated field", () =>
    assertParts("--b\r\nContent-Type: a/b;\r\n\tc=d\r\ncontent-type: no\r\nE :f: g \r\n\r\n\r\n--b--", [
      [{ "content-type": "a/b; c=d", e: "f: g" }, ""],
    ]));

  it("refuses a body without the boundary, and a boundary that is none", async () => {
    for (const whole of ["", "text", "--c\r\n\r\none\r\n--c--", "x--b\r\n\r\n", "--bb"]) {
      await assert.rejects(partsOf(chunked(whole)), {
        code: "invalid-multipart",
        message: "The body does not contain the boundary that Content-Type names.",
      });
    }
    for (const boundary of ["", "a\r\nb", "x".repeat(300)]) {
      await assert.rejects(partsOf(chunked(`--${boundary}--`), boundary), withCode("invalid-multipart"));
    }
  });

  it("refuses headers beyond the limits, malformed ones, and too many parts", async () => {
    const refused = withCode("invalid-multipart");
    for (const size of [1000, Infinity]) {
      await assert.rejects(partsOf(chunked(one(`A: ${"x".repeat(17_000)}`), size)), refused);
      await assert.rejects(partsOf(chunked(one("A: x\r\n".repeat(4000)), size)), refused);
    }
    await assert.rejects(partsOf(chunked(one("A: 1\r\nB: 2")), "b", { headerFields: 1 }), refused);
    assert.equal((await partsOf(chunked(one("A: 1")), "b", { headerFields: 1, headerBytes: 8 })).length, 1);
    await assert.rejects(partsOf(chunked(one("A: 1")), "b", { headerBytes: 7 }), refused);
    await assert.rejects(partsOf(chunked(one("no colon"))), refused);
    await assert.rejects(partsOf(chunked(one(": no name"))), refused);
    await assert.rejects(partsOf(chunked("--b\r\n\r\n1\r\n--b\r\n\r\n2\r\n--b--"), "b", { parts: 1 }), refused);
  });

  it("fails both part and body when the source ends before the closing delimiter", async () => {
    const whole = "--b\r\nA: 1\r\n\r\none\r\n--b--";
    for (let length = "--b\r\n".length; length < whole.length; length += 1) {
      for (const size of [1, Infinity]) {
        await assert.rejects(
          partsOf(chunked(whole.slice(0, length), size)),
          withCode("body-incomplete"),
          `at ${length}`,
        );
      }
    }
    const parts = readMultipart(chunked(whole.slice(0, -3)), "b");
    const { body } = await nextPart(parts);
    await assert.rejects(textOf(body), withCode("body-incomplete"));
    await assert.rejects(textOf(body), withCode("body-incomplete"));
    await assert.rejects(parts.next(), withCode("body-incomplete"));
  });

  it("passes on what the source throws, to the part and to the body", async () => {
    const broken = new Error("connection reset");
    async function* source(): AsyncGenerator<Uint8Array> {
      yield latin1("--b\r\n\r\none");
      throw broken;
    }
    const parts = readMultipart(source(), "b");
    const { body } = await nextPart(parts);
    await assert.rejects(textOf(body), broken);
    await assert.rejects(parts.next(), broken);
    await assert.rejects(partsOf(source()), broken);
  });

  it("drains a part that was not read to its end", async () => {
    const whole = `--b\r\n\r\n${"x".repeat(100)}\r\n--b\r\n\r\n${"y".repeat(100)}\r\n--b\r\n\r\nthree\r\n--b--`;
    const parts = readMultipart(chunked(whole, 10), "b");
    const first = await nextPart(parts);
    const second = await nextPart(parts);
    for await (const chunk of second.body) {
      assert.ok(chunk.length > 0);
      break;
    }
    const third = await nextPart(parts);
    assert.equal(await textOf(first.body), "", "a part that has gone by gives nothing of the next");
    assert.equal(await textOf(third.body), "three");
    assert.equal((await parts.next()).done, true);
  });

  it("ends a part as soon as its delimiter was seen, without asking the source for more", async () => {
    for (const delimiter of ["\r\n--b\r\n", "\r\n--b--"]) {
      let asked = 0;
      const source = {
        async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
          for (const piece of ["--b\r\n\r\n", `one${delimiter}`, "never"]) {
            asked += 1;
            yield latin1(piece);
          }
        },
      };
      const { body } = await nextPart(readMultipart(source, "b"));
      assert.equal(await textOf(body), "one");
      assert.equal(asked, 2);
    }
  });

  it("gives views of the chunks, not copies", async () => {
    const chunk = latin1("--b\r\n\r\nsome bytes\r\n--b--");
    const { body } = await nextPart(readMultipart(chunked(chunk), "b"));
    for await (const piece of body) assert.equal(piece.buffer, chunk.buffer);
  });

  it("leaves the source alone when it fails, so that the request can be answered", async () => {
    const server = createServer((incoming, response) => {
      partsOf(incoming, "b", { headerBytes: 4 }).then(
        () => response.end("read"),
        (error: unknown) => response.writeHead(400).end(error instanceof ArchiveError ? error.code : "other"),
      );
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    try {
      const address = server.address();
      assert.ok(address !== null && typeof address === "object");
      const outgoing = request({ port: address.port, host: "127.0.0.1", method: "POST" });
      outgoing.end(`--b\r\nContent-Type: a/b\r\n\r\n${"x".repeat(1000)}\r\n--b--`);
      const [response] = await once(outgoing, "response");
      assert.equal(response.statusCode, 400);
      assert.equal(await textOf(response), "invalid-multipart");
    } finally {
      server.close();
      server.closeAllConnections();
    }
  });

  it("gives the same parts whatever the chunks: 400 random bodies", async () => {
    const random = repeatable(20_240_601);
    const delimiterLine = /(?:^|\n)--boundary(?:--|[ \t]*\r?(?:\n|$))/;
    const alphabet = [
      "\r",
      "\n",
      "-",
      "--",
      "\r\n--",
      "b",
      "o",
      "u",
      "bou",
      "\r\n--boundar",
      "y",
      "\r\n--boundary",
      " ",
      "x".repeat(40),
      "\0",
      "\xff",
    ];
    for (let round = 0; round < 400; round += 1) {
      const lineEnd = round % 4 === 0 ? "\n" : "\r\n";
      const expected = Array.from({ length: random(4) }, (): Part => {
        const body = Array.from({ length: random(30) }, () => alphabet[random(alphabet.length)]).join("");
        return [random(2) === 0 ? {} : { "content-type": "a/b" }, delimiterLine.test(body) ? "" : body];
      });
      const whole = [
        random(2) === 0 ? "" : lineEnd,
        ...expected.map(([headers, body]) => {
          const block = Object.entries(headers).map(([name, value]) => `${name}: ${value}${lineEnd}`);
          return `--boundary${lineEnd}${block.join("")}${lineEnd}${body}${lineEnd}`;
        }),
        "--boundary--",
      ].join("");
      async function* source(): AsyncGenerator<Uint8Array> {
        const bytes = latin1(whole);
        const most = 1 + random(40);
        for (let at = 0; at < bytes.length;) {
          const size = random(most + 1);
          yield bytes.subarray(at, at + size);
          at += size;
        }
      }
      assert.deepEqual(await partsOf(source(), "boundary"), expected, JSON.stringify(whole));
    }
  });

  it("does not look twice at what resembles a delimiter", async () => {
    const boundary = "a".repeat(70);
    const alike = ["\r\n--", "\r\n--aaaa", `\r\n--${"a".repeat(69)}`, `\r\n--${boundary}`, "\r", "a", "\r\n--\r"];
    for (const text of alike) {
      const data = Buffer.alloc(4 << 20, `${text}b`, "latin1");
      const whole = Buffer.concat([latin1(`--${boundary}\r\n\r\n`), data, latin1(`\r\n--${boundary}--`)]);
      const begun = performance.now();
      let read = 0;
      for await (const { body } of readMultipart(chunked(whole, 65_536), boundary)) {
        for await (const piece of body) read += piece.length;
      }
      assert.equal(read, data.length);
      assert.ok(performance.now() - begun < 2000, `${JSON.stringify(text)}: ${performance.now() - begun} ms`);
    }
  });
});
