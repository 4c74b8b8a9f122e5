/** Media types and content negotiation: PS3.18 8.7, RFC 9110 12.5.1, and what OHIF sends. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ArchiveError } from "../../server/errors.ts";
import { negotiate, parseAccept, parseMediaType, type Offer } from "../../server/http/media-type.ts";

const parsed = (text: string): [string, Record<string, string>] | undefined => {
  const media = parseMediaType(text);
  return media && [media.type, Object.fromEntries(media.params)];
};

const single = (mediaType: string, transferSyntaxUid?: string): Offer => ({
  mediaType,
  multipart: false,
  ...(transferSyntaxUid === undefined ? {} : { transferSyntaxUid }),
});
const multi = (mediaType: string, transferSyntaxUid?: string): Offer => ({
  ...single(mediaType, transferSyntaxUid),
  multipart: true,
});

const explicitLittleEndian = "1.2.840.10008.1.2.1";
const jpegBaseline = "1.2.840.10008.1.2.4.50";
const jpegLs = "1.2.840.10008.1.2.4.80";
const jpeg2000 = "1.2.840.10008.1.2.4.90";

/** The offer that `accept` gets. */
const choose = (accept: string | undefined, ...offers: readonly Offer[]): Offer | undefined =>
  negotiate(parseAccept(accept), offers);

/** An Accept header of `count` ranges. */
const rangesOf = (count: number): string => Array.from({ length: count }, (_, n) => `a/b${n};q=0.5`).join(",");

describe("media types", () => {
  it("parses type and parameters, quoted or not", () => {
    assert.deepEqual(parsed('Multipart/Related; TYPE="application/dicom"; boundary="a;b,c\\"d"'), [
      "multipart/related",
      { type: "application/dicom", boundary: 'a;b,c"d' },
    ]);
    assert.deepEqual(parsed("multipart/related; type=application/dicom;boundary=AaB"), [
      "multipart/related",
      { type: "application/dicom", boundary: "AaB" },
    ]);
    assert.deepEqual(parsed('a/b; c="d\\";e"; f=g'), ["a/b", { c: 'd";e', f: "g" }]);
    assert.deepEqual(parsed(" application/dicom+json "), ["application/dicom+json", {}]);
    assert.deepEqual(parsed('text/html;;charset = utf-8;a="";charset=x; novalue'), [
      "text/html",
      { charset: "utf-8", a: "" },
    ]);
  });

  it("tolerates parameters inside the quotes of type, and a quote that is never closed", () => {
    const expected = ["multipart/related", { type: "image/jp2", "transfer-syntax": jpeg2000, boundary: "b" }];
    assert.deepEqual(parsed(`multipart/related; type="image/jp2; transfer-syntax=${jpeg2000}"; boundary=b`), expected);
    assert.deepEqual(parsed(`multipart/related; boundary=b; type="image/jp2; transfer-syntax=${jpeg2000}`), expected);
  });

  it("refuses what is no media type", () => {
    for (const text of ["", "dicom", "a/b/c", "a/", "/b", "a b/c", "a/b, c/d", ";"]) {
      assert.equal(parseMediaType(text), undefined, text);
    }
  });
});

describe("Accept", () => {
  it("orders ranges by weight, otherwise as given", () => {
    const ranges = parseAccept("a/a;q=0.2, b/b, c/c;q=0.9, d/d;q=oops, e/e;q=7, f/f;q=-1");
    assert.deepEqual(
      ranges.map(({ mediaType, q }) => [mediaType, q]),
      [
        ["b/b", 1],
        ["d/d", 1],
        ["e/e", 1],
        ["c/c", 0.9],
        ["a/a", 0.2],
        ["f/f", 0],
      ],
    );
  });

  it("reads a multipart range as a range of its parts", () => {
    assert.deepEqual(parseAccept('multipart/related; type="image/jls"; transfer-syntax="1.2.3"'), [
      { mediaType: "image/jls", multipart: true, transferSyntaxUid: "1.2.3", q: 1 },
    ]);
    assert.deepEqual(parseAccept("multipart/related"), [
      { mediaType: "*/*", multipart: true, transferSyntaxUid: undefined, q: 1 },
    ]);
  });

  it("accepts anything without a header, passes over what it cannot read", () => {
    for (const header of [undefined, "", "  ", "*/*", "*"]) assert.equal(parseAccept(header)[0]?.mediaType, "*/*");
    assert.deepEqual(parseAccept("rubbish"), []);
    assert.equal(parseAccept("text/html, image/gif, *; q=.2, */*; q=.2").length, 4);
    assert.equal(choose("rubbish", single("a/b")), undefined);
  });

  it("refuses more than 200 ranges, cheaply", () => {
    assert.equal(parseAccept(rangesOf(200)).length, 200);
    const begun = performance.now();
    assert.throws(
      () => parseAccept(rangesOf(1000)),
      (error) => error instanceof ArchiveError && error.code === "invalid-request",
    );
    assert.ok(performance.now() - begun < 50);
  });
});

describe("negotiation", () => {
  it("gives the first offer to a client that takes anything", () => {
    const offers = [
      multi("application/dicom", explicitLittleEndian),
      single("application/dicom", explicitLittleEndian),
    ];
    for (const accept of [undefined, "*/*", "*/*;q=0.1"]) assert.equal(choose(accept, ...offers), offers[0]);
  });

  it("keeps multipart and single part apart", () => {
    const part = single("application/dicom", jpegLs);
    const parts = multi("application/dicom", jpegLs);
    assert.equal(choose('multipart/related; type="application/dicom"', part, parts), parts);
    assert.equal(choose("application/dicom", parts, part), part);
    assert.equal(choose("application/*", parts, part), part);
    assert.equal(choose("multipart/related", part, parts), parts);
    assert.equal(choose("multipart/*", part, parts), parts);
    assert.equal(choose("application/dicom", parts), undefined);
    assert.equal(choose('multipart/related; type="application/dicom"', part), undefined);
  });

  it("matches the transfer syntax; a star or none is any", () => {
    const stored = single("application/dicom", jpegLs);
    const decoded = single("application/dicom", explicitLittleEndian);
    assert.equal(choose("application/dicom; transfer-syntax=*", stored, decoded), stored);
    assert.equal(choose("application/dicom", stored, decoded), stored);
    assert.equal(choose(`application/dicom; transfer-syntax=${explicitLittleEndian}`, stored, decoded), decoded);
    assert.equal(choose(`application/dicom; transfer-syntax=${jpeg2000}`, stored, decoded), undefined);
    const json = single("application/dicom+json");
    assert.equal(choose(`application/dicom+json; transfer-syntax=${jpegLs}`, json), json);
  });

  it("weighs an offer by the most specific range; 0 excludes", () => {
    const jpeg = single("image/jpeg");
    const png = single("image/png");
    assert.equal(choose("image/jpeg;q=0.5, image/png", jpeg, png), png);
    assert.equal(choose("image/*, image/jpeg;q=0", jpeg, png), png);
    assert.equal(choose("*/*, image/jpeg;q=0", jpeg), undefined);
    assert.equal(choose("*/*;q=0", jpeg, png), undefined);
    assert.equal(choose("image/*;q=0.9, image/jpeg;q=0.1", jpeg, png), png);
    const stored = single("application/dicom", jpegLs);
    const decoded = single("application/dicom", explicitLittleEndian);
    assert.equal(
      choose(`application/dicom, application/dicom;transfer-syntax=${jpegLs};q=0`, stored, decoded),
      decoded,
    );
  });

  it("prefers what is named over a star at equal weight, then the earlier offer", () => {
    const dicom = single("application/dicom");
    const jpeg = single("image/jpeg");
    const png = single("image/png");
    assert.equal(choose("*/*, image/jpeg", dicom, jpeg), jpeg);
    assert.equal(choose("*/*, image/*", dicom, jpeg), jpeg);
    assert.equal(choose("*/*, multipart/related", dicom, multi("image/jpeg"))?.multipart, true);
    assert.equal(choose("image/*, image/png", jpeg, png), png);
    assert.equal(choose("image/png, image/jpeg", jpeg, png), jpeg);
    assert.equal(choose("image/jpeg;q=0.5, */*", dicom, jpeg), dicom);
  });

  describe("what OHIF sends", () => {
    const rawFrame = multi("application/octet-stream", explicitLittleEndian);

    it("QIDO and metadata", () => {
      const json = single("application/dicom+json");
      assert.equal(choose("application/dicom+json", multi("application/dicom+xml"), json), json);
    });

    it("a frame: quoted or not, transfer syntax a star", () => {
      for (const type of ["application/octet-stream", '"application/octet-stream"']) {
        const accept = `multipart/related; type=${type}; transfer-syntax=*`;
        assert.equal(choose(accept, single("application/octet-stream", explicitLittleEndian), rawFrame), rawFrame);
      }
    });

    it("a slide's tile: the stored JPEG, though octet-stream is named before it", () => {
      const accept = [
        ["image/jls", jpegLs],
        ["image/jls", "1.2.840.10008.1.2.4.81"],
        ["image/jp2", jpeg2000],
        ["image/jp2", "1.2.840.10008.1.2.4.91"],
        ["image/jpx", "1.2.840.10008.1.2.4.92"],
        ["image/jpx", "1.2.840.10008.1.2.4.93"],
        ["application/octet-stream", "*"],
        ["image/jpeg", jpegBaseline],
      ]
        .map(([type, transferSyntax]) => `multipart/related; type="${type}"; transfer-syntax=${transferSyntax}`)
        .join(", ");
      const stored = multi("image/jpeg", jpegBaseline);
      assert.equal(choose(accept, stored, rawFrame), stored);
      assert.equal(choose(accept, multi("image/jphc", "1.2.840.10008.1.2.4.201"), rawFrame), rawFrame);
    });

    it("a whole instance, bulk data, rendered and thumbnails", () => {
      const instance = multi("application/dicom", jpegLs);
      assert.equal(
        choose('multipart/related; type="application/dicom"', single("application/dicom", jpegLs), instance),
        instance,
      );
      const bulk = single("application/octet-stream");
      const bulkParts = multi("application/octet-stream");
      assert.equal(choose("*/*", bulk, bulkParts), bulk);
      assert.equal(choose('multipart/related; type="application/octet-stream"', bulk, bulkParts), bulkParts);
      assert.equal(choose("application/octet-stream", bulk, bulkParts), bulk);
      assert.equal(choose("image/jpeg", single("image/png"), single("image/jpeg"))?.mediaType, "image/jpeg");
      const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
      assert.equal(choose(browser, single("application/pdf"))?.mediaType, "application/pdf");
      assert.equal(
        choose("image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8", single("image/jpeg"))?.mediaType,
        "image/jpeg",
      );
    });
  });
});
