/** Frames, bulk data and pixel data (PS3.18 10.4.1.1.5 to 10.4.1.1.7). */
import type { Check, Checks } from "../check.ts";
import { attributeOf, dataSetsOf, itemsOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectParts, expectStatus, expectType, soleBody } from "../expect.ts";
import { bulkValue, jpegFrames, losslessSamples, pdf } from "../fixtures.ts";
import type { Instance } from "../instances.ts";
import { media, pathsOf, type Session } from "../session.ts";
import { runLengthEncode, transferSyntax } from "../write-dicom.ts";

/** The bytes of one frame of an instance with native pixel data. */
function frameOf({ dataSet }: Instance, number: number, of: number): Buffer {
  const pixels = dataSet["PixelData"];
  if (!Buffer.isBuffer(pixels)) throw new TypeError("the instance has no native pixel data");
  const length = pixels.length / of;
  return pixels.subarray((number - 1) * length, number * length);
}

function frames(session: Session, instance: Instance, list: string, accept: string = media.octets) {
  return session.get(`${pathsOf(session.need(instance)).instance}/frames/${list}`, accept);
}

async function bulk(session: Session, instance: Instance, name: string, accept: string) {
  return session.requestUrl(await session.bulkDataUrl(instance, name), { headers: { Accept: accept } });
}

/** A resource that gives the pixel data or bulk data of a level: at least `least` parts, one of them these bytes. */
function allOf(pathOf: (session: Session) => string, expected: (session: Session) => Buffer, least: number): Check {
  return async (session) => {
    const answer = expectStatus(await session.get(pathOf(session), media.octets), 200);
    const parts = expectParts(answer);
    expect(parts.length >= least, `The answer has ${parts.length} parts instead of ${least} or more.`);
    const wanted = expected(session);
    const isThere = parts.some(({ body }) => body.equals(wanted));
    expect(isThere, "The bytes that were stored are not among the parts.");
  };
}

const pixelsOfMr = ({ fixtures }: Session) => frameOf(fixtures.mr, 1, 1);

export const pixelChecks: Checks = {
  "frame-native": async (session) => {
    const { mr } = session.fixtures;
    expectBytes(soleBody(expectStatus(await frames(session, mr, "1"), 200)), frameOf(mr, 1, 1), "The frame");
  },
  "frame-native-of-several": async (session) => {
    const { cine } = session.fixtures;
    expectBytes(soleBody(expectStatus(await frames(session, cine, "2"), 200)), frameOf(cine, 2, 3), "The frame");
  },
  "frame-list": async (session) => {
    const { cine } = session.fixtures;
    const parts = expectParts(expectStatus(await frames(session, cine, "1,3"), 200), "application/octet-stream");
    expectEqual(parts.length, 2, "The number of parts");
    expectBytes(parts[0]?.body, frameOf(cine, 1, 3), "The first part");
    expectBytes(parts[1]?.body, frameOf(cine, 3, 3), "The second part");
  },
  "frame-list-encoded-comma": async (session) => {
    const { cine } = session.fixtures;
    const parts = expectParts(expectStatus(await frames(session, cine, "1%2C2"), 200));
    expectEqual(parts.length, 2, "The number of parts");
  },
  "frame-beyond-last": async (session) => {
    expectStatus(await frames(session, session.fixtures.cine, "4"), 404, 400);
  },
  "frame-of-unknown-instance": async (session) => {
    const { series } = pathsOf(session.need(session.fixtures.mr));
    const path = `${series}/instances/${session.run.uid("never stored")}/frames/1`;
    expectStatus(await session.get(path, media.octets), 404);
  },
  "frame-of-document": async (session) => {
    expectStatus(await frames(session, session.fixtures.document, "1"), 404, 400, 406);
  },
  "frame-any-media-type": async (session) => {
    const { mr } = session.fixtures;
    expectBytes(soleBody(expectStatus(await frames(session, mr, "1", "*/*"), 200)), frameOf(mr, 1, 1), "The frame");
  },
  "frame-single-part": async (session) => {
    const { mr } = session.fixtures;
    const answer = expectStatus(await frames(session, mr, "1", "application/octet-stream"), 200);
    expectType(answer, "application/octet-stream");
    expectBytes(answer.body, frameOf(mr, 1, 1), "The body");
  },
  "frame-type-unquoted": async (session) => {
    const { mr } = session.fixtures;
    const accept = "multipart/related; type=application/octet-stream; transfer-syntax=*";
    expectBytes(soleBody(expectStatus(await frames(session, mr, "1", accept), 200)), frameOf(mr, 1, 1), "The frame");
  },
  "frame-explicit-transfer-syntax": async (session) => {
    const { mr } = session.fixtures;
    const accept = `multipart/related; type="application/octet-stream"; transfer-syntax=${transferSyntax.explicitLittle}`;
    expectBytes(soleBody(expectStatus(await frames(session, mr, "1", accept), 200)), frameOf(mr, 1, 1), "The frame");
  },
  "frame-of-implicit": async (session) => {
    const { cine } = session.fixtures;
    expectBytes(soleBody(expectStatus(await frames(session, cine, "3"), 200)), frameOf(cine, 3, 3), "The frame");
  },
  "frame-of-big-endian": async (session) => {
    const { bigEndian } = session.fixtures;
    const swapped = Buffer.from(frameOf(bigEndian, 1, 1)).swap16();
    expectBytes(soleBody(expectStatus(await frames(session, bigEndian, "1"), 200)), swapped, "The frame");
  },
  "frame-of-deflated": async (session) => {
    const { deflated } = session.fixtures;
    const body = soleBody(expectStatus(await frames(session, deflated, "1"), 200));
    expectBytes(body, frameOf(deflated, 1, 1), "The frame");
  },
  "frame-jpeg": async (session) => {
    const accept = 'multipart/related; type="image/jpeg"; transfer-syntax=*';
    const answer = expectStatus(await frames(session, session.fixtures.photo, "2", accept), 200);
    const [part] = expectParts(answer, "image/jpeg");
    const [, second] = jpegFrames;
    // The fragment was padded to an even length (PS3.5 A.4).
    expectBytes(part?.body.subarray(0, second?.length), second ?? Buffer.alloc(0), "The frame");
  },
  "frame-jpeg-names-transfer-syntax": async (session) => {
    const { photo } = session.fixtures;
    const accept = 'multipart/related; type="image/jpeg"; transfer-syntax=*';
    const [part] = expectParts(expectStatus(await frames(session, photo, "1", accept), 200));
    expectEqual(part?.mediaType.params["transfer-syntax"], photo.transferSyntaxUid, "The transfer-syntax of the part");
  },
  "frame-jpeg-named-transfer-syntax": async (session) => {
    const { photo } = session.fixtures;
    const accept = `multipart/related; type="image/jpeg"; transfer-syntax=${photo.transferSyntaxUid}`;
    expectParts(expectStatus(await frames(session, photo, "1", accept), 200), "image/jpeg");
  },
  "frame-jpeg-single-part": async (session) => {
    const answer = expectStatus(await frames(session, session.fixtures.photo, "1", "image/jpeg"), 200);
    expectType(answer, "image/jpeg");
    expect(answer.body.subarray(0, 2).equals(Buffer.from([0xff, 0xd8])), "The body is not a JPEG image.");
  },
  "frame-jpeg-viewer-accept": async (session) => {
    const accept = "multipart/related; type=application/octet-stream; transfer-syntax=*";
    const answer = await frames(session, session.fixtures.photo, "1", accept);
    expect(answer.status === 200 || answer.status === 406, `The answer is ${answer.status}.`);
    expectStatus(
      await frames(session, session.fixtures.photo, "1", `${accept}, multipart/related; type=image/jpeg`),
      200,
    );
  },
  "frame-jpeg-octets": async (session) => {
    const answer = await frames(session, session.fixtures.photo, "1");
    expectStatus(answer, 200, 406);
    if (answer.status === 406) return;
    const [part] = expectParts(answer, "application/octet-stream");
    const isDecoded = part?.body.length === 16 * 16 * 3;
    const named = part?.mediaType.params["transfer-syntax"];
    expect(
      isDecoded || named === session.fixtures.photo.transferSyntaxUid,
      "The octets are neither decoded nor named.",
    );
  },
  "frame-rle": async (session) => {
    const accept = 'multipart/related; type="image/dicom-rle"; transfer-syntax=*';
    const answer = expectStatus(await frames(session, session.fixtures.lossless, "1", accept), 200);
    const [part] = expectParts(answer, "image/dicom-rle");
    expectBytes(part?.body, runLengthEncode(losslessSamples), "The frame");
  },
  "frame-lossless-decoded": async (session) => {
    const body = soleBody(expectStatus(await frames(session, session.fixtures.lossless, "1"), 200));
    expectBytes(body, losslessSamples, "The frame");
  },
  "frame-unavailable-type": async (session) => {
    expectStatus(await frames(session, session.fixtures.mr, "1", 'multipart/related; type="image/jls"'), 406);
  },
  "frame-not-acceptable-lists": async (session) => {
    const answer = expectStatus(await frames(session, session.fixtures.photo, "1", "text/csv"), 406);
    expect(answer.body.includes("image/jpeg"), "The answer does not name image/jpeg, which is available.");
  },
  "bulk-data-multipart": async (session) => {
    const answer = expectStatus(await bulk(session, session.fixtures.mr, "PixelData", media.octets), 200);
    const [part] = expectParts(answer, "application/octet-stream");
    expectBytes(part?.body, pixelsOfMr(session), "The value");
  },
  "bulk-data-single-part": async (session) => {
    const accept = "application/octet-stream";
    const answer = expectStatus(await bulk(session, session.fixtures.forms, "00091011:OW", accept), 200);
    expectType(answer, accept);
    expectBytes(answer.body, bulkValue, "The value");
  },
  "bulk-data-any-media-type": async (session) => {
    const answer = expectStatus(await bulk(session, session.fixtures.forms, "00091011:OW", "*/*"), 200);
    expectBytes(soleBody(answer), bulkValue, "The value");
  },
  "bulk-data-in-sequence": async (session) => {
    const { forms } = session.fixtures;
    const path = `${pathsOf(session.need(forms)).instance}/metadata`;
    const [dataSet] = dataSetsOf(expectStatus(await session.get(path), 200));
    const [item] = itemsOf(dataSet, "00091013:SQ");
    const attribute = attributeOf(item, "00091011:OB");
    const inline = attribute?.InlineBinary;
    const uri = attribute?.BulkDataURI;
    if (inline !== undefined)
      return expectBytes(Buffer.from(inline, "base64"), bulkValue.subarray(0, 40_000), "The value");
    expect(uri !== undefined, "The value is neither inline nor referred to.");
    const url = new URL(uri, `${session.target.url}${path}`).href;
    const answer = expectStatus(await session.requestUrl(url, { headers: { Accept: media.octets } }), 200);
    expectBytes(soleBody(answer), bulkValue.subarray(0, 40_000), "The value");
  },
  "bulk-data-document": async (session) => {
    const { document } = session.fixtures;
    const path = `${pathsOf(session.need(document)).instance}/metadata`;
    const [dataSet] = dataSetsOf(expectStatus(await session.get(path), 200));
    const inline = attributeOf(dataSet, "EncapsulatedDocument")?.InlineBinary;
    const body =
      inline === undefined
        ? soleBody(expectStatus(await bulk(session, document, "EncapsulatedDocument", media.octets), 200))
        : Buffer.from(inline, "base64");
    expectBytes(body.subarray(0, pdf.length), pdf, "The document");
  },
  "bulk-data-compressed-pixels": async (session) => {
    const { photo } = session.fixtures;
    const accept = 'multipart/related; type="image/jpeg"; transfer-syntax=*';
    const parts = expectParts(expectStatus(await bulk(session, photo, "PixelData", accept), 200), "image/jpeg");
    expectEqual(parts.length, jpegFrames.length, "The number of parts");
  },
  "bulk-data-unknown": async (session) => {
    const uri = await session.bulkDataUrl(session.fixtures.forms, "00091011:OW");
    const url = uri.replace(session.fixtures.forms.sopInstanceUid, session.run.uid("never stored"));
    expectStatus(await session.requestUrl(url, { headers: { Accept: media.octets } }), 404);
  },
  "bulk-data-study": allOf((session) => `${pathsOf(session.need(session.fixtures.mr)).study}/bulkdata`, pixelsOfMr, 4),
  "bulk-data-series": allOf(
    (session) => `${pathsOf(session.need(session.fixtures.mr)).series}/bulkdata`,
    pixelsOfMr,
    1,
  ),
  "bulk-data-instance": allOf(
    (session) => `${pathsOf(session.need(session.fixtures.forms)).instance}/bulkdata`,
    () => bulkValue,
    1,
  ),
  "bulk-data-part-location": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    const parts = expectParts(expectStatus(await session.get(`${study}/bulkdata`, media.octets), 200));
    expect(
      parts.every(({ headers }) => (headers["content-location"] ?? "") !== ""),
      "A part has no Content-Location.",
    );
  },
  "pixel-data-study": allOf(
    (session) => `${pathsOf(session.need(session.fixtures.mr)).study}/pixeldata`,
    pixelsOfMr,
    4,
  ),
  "pixel-data-series": allOf(
    (session) => `${pathsOf(session.need(session.fixtures.mr)).series}/pixeldata`,
    pixelsOfMr,
    1,
  ),
  "pixel-data-instance": allOf(
    (session) => `${pathsOf(session.need(session.fixtures.mr)).instance}/pixeldata`,
    pixelsOfMr,
    1,
  ),
};
