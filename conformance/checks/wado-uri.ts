/** URI service, WADO-URI (PS3.18 9). */
import type { Check, Checks } from "../check.ts";
import { expect, expectBytes, expectStatus, expectType } from "../expect.ts";
import { jpegFrames, pdf } from "../fixtures.ts";
import type { Answer } from "../http.ts";
import type { Instance } from "../instances.ts";
import type { QueryPairs, Session } from "../session.ts";
import { transferSyntax } from "../write-dicom.ts";

const dicom = "application/dicom";

/** Escapes what a query must escape (RFC 3986 3.4) and nothing else: some servers do not read escaped slashes. */
function escaped(value: string): string {
  return encodeURIComponent(value).replaceAll("%2F", "/").replaceAll("%2C", ",");
}

/** A request for an instance; a key of undefined value is left out. */
async function wado(
  session: Session,
  instance: Instance,
  query: Readonly<Record<string, string | undefined>> = {},
  headers: QueryPairs = {},
): Promise<Answer> {
  session.need(instance);
  const keys: Readonly<Record<string, string | undefined>> = {
    requestType: "WADO",
    studyUID: instance.studyInstanceUid,
    seriesUID: instance.seriesInstanceUid,
    objectUID: instance.sopInstanceUid,
    ...query,
  };
  const pairs = Object.entries(keys).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${escaped(value)}`],
  );
  return session.requestUrl(`${session.target.wadoUrl}?${pairs.join("&")}`, { headers });
}

/** The MR instance with a query is answered by one of these statuses, and the plain request by 200. */
function refused(query: Readonly<Record<string, string | undefined>>, ...statuses: readonly number[]): Check {
  return async (session) => {
    expectStatus(await wado(session, session.fixtures.mr, { contentType: dicom }), 200);
    expectStatus(await wado(session, session.fixtures.mr, { contentType: dicom, ...query }), ...statuses);
  };
}

/** As above, for rendered images, of the JPEG instance. */
function refusedImage(query: Readonly<Record<string, string | undefined>>, ...statuses: readonly number[]): Check {
  return async (session) => {
    expectStatus(await wado(session, session.fixtures.mr, { contentType: dicom }), 200);
    expectStatus(await wado(session, session.fixtures.photo, { contentType: "image/jpeg", ...query }), ...statuses);
  };
}

/** A request is answered by an image of a media type. */
function image(pick: (session: Session) => Instance, type: string, query: QueryPairs = {}): Check {
  return async (session) => {
    const answer = expectStatus(await wado(session, pick(session), { contentType: type, ...query }), 200);
    expectType(answer, type);
    expect(answer.body.length > 20, "The image is empty.");
  };
}

const mr = ({ fixtures }: Session) => fixtures.mr;
const photo = ({ fixtures }: Session) => fixtures.photo;

export const wadoUriChecks: Checks = {
  "wado-dicom": async (session) => {
    const answer = expectStatus(await wado(session, session.fixtures.mr, { contentType: dicom }), 200);
    expectType(answer, dicom);
    expectBytes(answer.body, session.fixtures.mr.file, "The file");
  },
  "wado-dicom-encoded": async (session) => {
    const answer = await wado(session, session.fixtures.mr, { contentType: "application/dicom; transfer-syntax=*" });
    expectStatus(answer, 200, 406);
  },
  "wado-dicom-transfer-syntax": async (session) => {
    const query = { contentType: dicom, transferSyntax: transferSyntax.explicitLittle };
    expectBytes(
      expectStatus(await wado(session, session.fixtures.mr, query), 200).body,
      session.fixtures.mr.file,
      "The file",
    );
  },
  "wado-dicom-compressed": async (session) => {
    const query = { contentType: dicom, transferSyntax: session.fixtures.photo.transferSyntaxUid };
    const answer = expectStatus(await wado(session, session.fixtures.photo, query), 200);
    expectBytes(answer.body, session.fixtures.photo.file, "The file");
  },
  "wado-dicom-default-explicit": async (session) => {
    const answer = expectStatus(await wado(session, session.fixtures.lossless, { contentType: dicom }), 200);
    expect(answer.body.includes(`${transferSyntax.explicitLittle}\0`), "It is not in Explicit VR Little Endian.");
  },
  "wado-unknown-transfer-syntax": refused({ transferSyntax: "1.2.840.10008.1.2.4.999" }, 400, 406),
  "wado-bad-transfer-syntax": refused({ transferSyntax: "JPEG" }, 400),
  "wado-missing-request-type": refused({ requestType: undefined }, 400),
  "wado-other-request-type": refused({ requestType: "STOW" }, 400),
  "wado-missing-study": refused({ studyUID: undefined }, 400),
  "wado-missing-series": refused({ seriesUID: undefined }, 400),
  "wado-missing-object": refused({ objectUID: undefined }, 400),
  "wado-bad-uid": refused({ objectUID: "1.2.x" }, 400),
  "wado-unknown-object": refused({ objectUID: "1.2.3.4.5.6" }, 404),
  "wado-unknown-study": refused({ studyUID: "1.2.3.4.5.6" }, 404),
  "wado-unknown-content-type": refused({ contentType: "text/csv" }, 406, 400),
  "wado-charset": async (session) => {
    expectStatus(await wado(session, session.fixtures.mr, { contentType: dicom, charset: "utf-8" }), 200);
  },
  "wado-accept-header": async (session) => {
    const answer = await wado(session, session.fixtures.mr, {}, { Accept: dicom });
    expectBytes(expectStatus(answer, 200).body, session.fixtures.mr.file, "The file");
  },
  "wado-parameter-order": async (session) => {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = session.need(session.fixtures.mr);
    const query = `contentType=${dicom}&objectUID=${sopInstanceUid}&seriesUID=${seriesInstanceUid}`;
    const url = `${session.target.wadoUrl}?${query}&studyUID=${studyInstanceUid}&requestType=WADO`;
    expectStatus(await session.requestUrl(url), 200);
  },
  "wado-head": async (session) => {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = session.need(session.fixtures.mr);
    const uids = `studyUID=${studyInstanceUid}&seriesUID=${seriesInstanceUid}&objectUID=${sopInstanceUid}`;
    const url = `${session.target.wadoUrl}?requestType=WADO&${uids}&contentType=${dicom}`;
    const answer = expectStatus(await session.requestUrl(url, { method: "HEAD" }), 200);
    expect(answer.body.length === 0, "HEAD has a body.");
  },
  "wado-default-jpeg": async (session) => {
    expectType(expectStatus(await wado(session, session.fixtures.mr), 200), "image/jpeg");
  },
  "wado-jpeg": image(mr, "image/jpeg"),
  "wado-png": image(mr, "image/png"),
  "wado-gif": image(mr, "image/gif"),
  "wado-jpeg-of-jpeg": image(photo, "image/jpeg"),
  "wado-frame-number": async (session) => {
    const query = { contentType: "image/jpeg", frameNumber: "2" };
    const answer = expectStatus(await wado(session, session.fixtures.photo, query), 200);
    const [first] = jpegFrames;
    expectType(answer, "image/jpeg");
    expect(first !== undefined && !answer.body.subarray(0, first.length).equals(first), "It is the first frame.");
  },
  "wado-frame-number-zero": refusedImage({ frameNumber: "0" }, 400),
  "wado-frame-number-beyond": refusedImage({ frameNumber: "3" }, 400),
  "wado-frame-number-letters": refusedImage({ frameNumber: "two" }, 400),
  "wado-rows-columns": image(mr, "image/jpeg", { rows: "16", columns: "16" }),
  "wado-bad-rows": refusedImage({ rows: "many" }, 400),
  "wado-window": image(mr, "image/jpeg", { windowCenter: "400", windowWidth: "800" }),
  "wado-window-center-alone": refusedImage({ windowCenter: "400" }, 400),
  "wado-bad-window": refusedImage({ windowCenter: "x", windowWidth: "y" }, 400),
  "wado-region": image(mr, "image/jpeg", { region: "0,0,0.5,0.5" }),
  "wado-bad-region": refusedImage({ region: "0,0,2,2" }, 400),
  "wado-quality": image(mr, "image/jpeg", { imageQuality: "50" }),
  "wado-bad-quality": refusedImage({ imageQuality: "0" }, 400),
  "wado-annotation": image(mr, "image/jpeg", { annotation: "patient" }),
  "wado-document": async (session) => {
    const query = { contentType: "application/pdf" };
    const answer = expectStatus(await wado(session, session.fixtures.document, query), 200);
    expectType(answer, "application/pdf");
    expectBytes(answer.body.subarray(0, pdf.length), pdf, "The document");
  },
};
