/** Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.3.5, 8.7.4). */
import type { Check, Checks } from "../check.ts";
import { expect, expectBytes, expectClientError, expectEqual, expectStatus, expectType, soleBody } from "../expect.ts";
import { pdf } from "../fixtures.ts";
import { type Answer, header } from "../http.ts";
import type { Instance } from "../instances.ts";
import { parseMediaType, parseMultipart } from "../media.ts";
import { pathsOf, type Session } from "../session.ts";

type Paths = ReturnType<typeof pathsOf>;

/** The size of a JPEG image by its frame header (ITU-T T.81 B.2.2). */
function jpegSize(bytes: Buffer): { columns: number; rows: number } {
  for (let at = 2; at + 9 < bytes.length && bytes[at] === 0xff; at += 2 + bytes.readUInt16BE(at + 2)) {
    const marker = bytes[at + 1] ?? 0;
    if (marker >= 0xc0 && marker <= 0xc3)
      return { rows: bytes.readUInt16BE(at + 5), columns: bytes.readUInt16BE(at + 7) };
  }
  return { columns: 0, rows: 0 };
}

/** The images of an answer, single or multipart. */
function imagesOf(answer: Answer): Buffer[] {
  const { type, params } = parseMediaType(header(answer, "content-type"));
  if (type !== "multipart/related") return [answer.body];
  return parseMultipart(answer.body, params["boundary"] ?? "").map(({ body }) => body);
}

function expectJpeg(answer: Answer): Buffer[] {
  const images = imagesOf(expectStatus(answer, 200));
  expect(images.length > 0 && images.every((image) => jpegSize(image).rows > 0), "The answer holds no JPEG image.");
  return images;
}

/** Several frames or instances come in several parts. */
const either = 'image/jpeg, multipart/related; type="image/jpeg"';

function jpegOf(pathOf: (paths: Paths) => string, pick: (session: Session) => Instance): Check {
  return async (session) => {
    const path = pathOf(pathsOf(session.need(pick(session))));
    expectJpeg(await session.get(path, either));
  };
}

const mr = ({ fixtures }: Session) => fixtures.mr;
const photo = ({ fixtures }: Session) => fixtures.photo;
const cine = ({ fixtures }: Session) => fixtures.cine;

/** A rendered image of the MR with parameters. */
async function rendered(session: Session, query: string, accept = "image/jpeg"): Promise<Answer> {
  return session.get(`${pathsOf(session.need(session.fixtures.mr)).instance}/rendered${query}`, accept);
}

/** Expects 404 of a path beside one that is there, whether it can be rendered or not: else 404 would mean nothing. */
async function expectMissing(session: Session, path: string, present: string): Promise<void> {
  expectStatus(await session.get(present, "image/jpeg"), 200, 406);
  expectStatus(await session.get(path, "image/jpeg"), 404, 400);
}

/** A parameter value that is refused, on a resource that is there. */
function refused(query: string): Check {
  return async (session) => {
    const answer = expectClientError(await rendered(session, query));
    expectEqual(answer.status, 400, "The status");
  };
}

export const renderedChecks: Checks = {
  "rendered-study": jpegOf(({ study }) => `${study}/rendered`, mr),
  "rendered-series": jpegOf(({ series }) => `${series}/rendered`, mr),
  "rendered-instance": jpegOf(({ instance }) => `${instance}/rendered`, mr),
  "rendered-frame": jpegOf(({ instance }) => `${instance}/frames/2/rendered`, cine),
  "rendered-instance-compressed": jpegOf(({ instance }) => `${instance}/rendered`, photo),
  "rendered-frame-compressed": jpegOf(({ instance }) => `${instance}/frames/1/rendered`, photo),
  "rendered-png": async (session) => {
    const answer = expectStatus(await rendered(session, "", "image/png"), 200);
    expectType(answer, "image/png");
    expect(answer.body.subarray(1, 4).equals(Buffer.from("PNG")), "The body is not a PNG image.");
  },
  "rendered-gif": async (session) => {
    expectType(expectStatus(await rendered(session, "", "image/gif"), 200), "image/gif");
  },
  "rendered-jp2": async (session) => {
    expectType(expectStatus(await rendered(session, "", "image/jp2"), 200), "image/jp2");
  },
  "rendered-default-jpeg": async (session) => {
    expectType(expectStatus(await rendered(session, "", "*/*"), 200), "image/jpeg");
  },
  "rendered-not-acceptable": async (session) => {
    expectStatus(await rendered(session, "", "text/csv"), 406);
  },
  "rendered-document": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.document));
    const answer = expectStatus(await session.get(`${instance}/rendered`, "application/pdf"), 200);
    expectBytes(soleBody(answer).subarray(0, pdf.length), pdf, "The document");
  },
  "rendered-size": async (session) => {
    const [image] = expectJpeg(await rendered(session, ""));
    expectEqual(image && jpegSize(image), { rows: 4, columns: 4 }, "The size of the image");
  },
  "rendered-viewport": async (session) => {
    const [image] = expectJpeg(await rendered(session, "?viewport=32,16"));
    const { rows, columns } = jpegSize(image ?? Buffer.alloc(0));
    expect(columns <= 32 && rows <= 16 && (columns === 32 || rows === 16), `The image is ${columns} x ${rows}.`);
  },
  "rendered-window": async (session) => {
    const [narrow] = expectJpeg(await rendered(session, "?window=100,10,linear"));
    const [wide] = expectJpeg(await rendered(session, "?window=2000,4000,linear"));
    expect(narrow !== undefined && wide !== undefined && !narrow.equals(wide), "The window changes nothing.");
  },
  "rendered-quality": async (session) => {
    const [low] = expectJpeg(await rendered(session, "?quality=5"));
    const [high] = expectJpeg(await rendered(session, "?quality=100"));
    expect(low !== undefined && high !== undefined && !low.equals(high), "The quality changes nothing.");
  },
  "rendered-annotation": async (session) => void expectJpeg(await rendered(session, "?annotation=patient,technique")),
  "rendered-iccprofile": async (session) => void expectJpeg(await rendered(session, "?iccprofile=srgb")),
  "rendered-bad-quality": refused("?quality=0"),
  "rendered-bad-window": refused("?window=wide"),
  "rendered-bad-window-function": refused("?window=100,200,cubic"),
  "rendered-bad-viewport": refused("?viewport=0,0"),
  "rendered-bad-viewport-letters": refused("?viewport=a,b"),
  "rendered-bad-annotation": refused("?annotation=everything"),
  "rendered-bad-iccprofile": refused("?iccprofile=perhaps"),
  "rendered-unknown-instance": async (session) => {
    const { series, instance } = pathsOf(session.need(session.fixtures.mr));
    await expectMissing(session, `${series}/instances/${session.run.uid("never")}/rendered`, `${instance}/rendered`);
  },
  "rendered-frame-beyond-last": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.photo));
    await expectMissing(session, `${instance}/frames/3/rendered`, `${instance}/frames/2/rendered`);
  },
  "thumbnail-study": jpegOf(({ study }) => `${study}/thumbnail`, mr),
  "thumbnail-series": jpegOf(({ series }) => `${series}/thumbnail`, mr),
  "thumbnail-instance": jpegOf(({ instance }) => `${instance}/thumbnail`, mr),
  "thumbnail-frame": jpegOf(({ instance }) => `${instance}/frames/1/thumbnail`, cine),
  "thumbnail-compressed": jpegOf(({ instance }) => `${instance}/thumbnail`, photo),
  "thumbnail-viewport": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.mr));
    expectJpeg(await session.get(`${instance}/thumbnail?viewport=16,16`, "image/jpeg"));
  },
  "thumbnail-unknown-study": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    await expectMissing(session, `/studies/${session.run.uid("never")}/thumbnail`, `${study}/thumbnail`);
  },
  "thumbnail-not-acceptable": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.mr));
    expectStatus(await session.get(`${instance}/thumbnail`, "text/csv"), 406);
  },
};
