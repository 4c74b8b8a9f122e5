/** Bad input: a 4xx with words that name the fault, soon, and a server that is well afterwards. */
import type { Check, Checks } from "../check.ts";
import { expect, expectClientError, expectStatus } from "../expect.ts";
import { type Answer, exchangeRaw, header } from "../http.ts";
import { media, pathsOf, type Session, warns } from "../session.ts";

/** Time for a refusal; the aim is 0.1 s on a quiet machine. */
const longestRefusal = 2;

function expectRefused(answer: Answer, ...statuses: readonly number[]): Answer {
  if (statuses.length > 0) expectStatus(answer, ...statuses);
  expectClientError(answer);
  expect(answer.seconds < longestRefusal, `The refusal took ${answer.seconds.toFixed(1)} s.`);
  return answer;
}

/** Length of the last element of a scratch instance: 4 x 4 pixels of 8 bits and their header. */
const pixelElement = 28;

/** A GET below the base that is to be refused. */
function refused(path: string | ((session: Session) => string), ...statuses: readonly number[]): Check {
  return async (session) => {
    const target = typeof path === "string" ? path : path(session);
    expectRefused(await session.get(target), ...statuses);
  };
}

/** A search that may find nothing or be refused, but neither fails nor finds. */
function harmless(key: string, value: string): Check {
  return async (session) => {
    const answer = await session.search("/studies", { [key]: value });
    expect(answer.status < 500, `${key} of this value is answered by ${answer.status}.`);
    const isEmpty = answer.status >= 400 || answer.status === 204 || answer.body.toString("utf8").trim() === "[]";
    expect(isEmpty, `${key} of this value finds something.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  };
}

const instancePath = (session: Session) => pathsOf(session.need(session.fixtures.mr)).instance;

export const robustChecks: Checks = {
  "bad-date": refused("/studies?StudyDate=2024-13-99", 400),
  "bad-date-range": refused("/studies?StudyDate=20240101-20240102-20240103", 400),
  "bad-time": refused("/studies?StudyTime=2561", 400),
  "bad-uid-in-query": refused("/studies?StudyInstanceUID=1.2.x", 400),
  "bad-number": refused("/series?SeriesNumber=seven", 400),
  "bad-limit": refused("/studies?limit=ten", 400),
  "negative-limit": refused("/studies?limit=-1", 400),
  "bad-offset": refused("/studies?offset=1.5", 400),
  "bad-fuzzymatching": refused("/studies?fuzzymatching=perhaps", 400),
  "bad-includefield": refused("/studies?includefield=NoSuchAttribute", 400),
  "unknown-attribute": refused("/studies?NoSuchAttribute=1", 400),
  "wildcard-in-date": refused("/studies?StudyDate=2024*", 400),
  "wildcard-in-uid": refused("/studies?StudyInstanceUID=1.2.*", 400),
  "bad-query-names-parameter": async (session) => {
    const answer = expectRefused(await session.get("/studies?StudyDate=2024-13-99"), 400);
    expect(answer.body.includes("StudyDate"), "The answer does not name StudyDate.");
  },
  "problem-document": async (session) => {
    const answer = expectRefused(await session.get("/studies?limit=ten"), 400);
    const type = header(answer, "content-type");
    expect(type.startsWith("application/problem+json"), `The answer is ${type || "of no media type"}.`);
    const parsed: unknown = JSON.parse(answer.body.toString("utf8"));
    expect(typeof parsed === "object" && parsed !== null && "detail" in parsed, "The document has no detail.");
  },
  "no-internals-in-errors": async (session) => {
    for (const path of ["/studies?limit=ten", "/studies/1.2.x", "/nothing/here", "/studies?StudyDate=x"]) {
      const { body, status } = await session.get(path);
      expect(status >= 400 && status < 500, `GET ${path} answered ${status}.`);
      const leak = /\.(ts|js|py|java|cpp):\d+|select .+ from|at \w+ \(|\/node_modules\//i.exec(body.toString("utf8"));
      expect(leak === null, `The answer holds ${leak?.[0] ?? ""}.`);
    }
  },
  "offset-beyond-end": async (session) => {
    const answer = expectStatus(await session.search("/studies", { offset: "1000000000" }), 200, 204);
    expect(answer.status === 204 || answer.body.toString("utf8") === "[]", "The answer is not empty.");
  },
  "frame-zero": refused((session) => `${instancePath(session)}/frames/0`, 400, 404),
  "frame-billion": refused((session) => `${instancePath(session)}/frames/1000000000`, 400, 404),
  "frame-letters": refused((session) => `${instancePath(session)}/frames/one`, 400, 404),
  "frame-negative": refused((session) => `${instancePath(session)}/frames/-1`, 400, 404),
  "frame-list-empty": refused((session) => `${instancePath(session)}/frames/`, 400, 404),
  "uid-with-letters": refused("/studies/1.2.abc/metadata", 400, 404),
  "uid-too-long": refused(`/studies/1.${"2".repeat(70)}/metadata`, 400, 404),
  "uid-leading-zero": refused("/studies/1.02.3/metadata", 400, 404),
  "path-traversal": refused("/studies/../../../../etc/passwd"),
  "path-traversal-encoded": refused("/studies/..%2f..%2f..%2fetc%2fpasswd/metadata", 400, 404),
  "path-nul": refused("/studies/1.2%00.3/metadata", 400, 404),
  "bad-percent-encoding": refused("/studies/%ZZ/metadata", 400, 404),
  "bad-percent-in-query": async (session) => {
    const answer = await session.get("/studies?PatientName=%ZZ");
    expect(answer.status < 500, `The answer is ${answer.status}.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  },
  "sql-in-text-key": harmless("PatientID", "' OR '1'='1"),
  "sql-in-name-key": harmless("PatientName", "'; DROP TABLE study; --"),
  "sql-in-limit": refused("/studies?limit=1;DROP%20TABLE%20study", 400),
  "sql-in-uid": refused("/studies/1.2%27%20OR%201=1/series", 400, 404),
  "nul-in-key": harmless("PatientID", "CF\u0000"),
  "pattern-in-name": harmless("PatientName", "(((((((a+)+)+)+)+)+)+)$["),
  "key-of-8000-characters": async (session) => {
    const answer = await session.search("/studies", { PatientName: `${"a*".repeat(4000)}z` });
    expect(answer.status < 500, `The answer is ${answer.status}.`);
    expect(answer.seconds < longestRefusal, `The answer took ${answer.seconds.toFixed(1)} s.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  },
  "accept-of-1000-ranges": async (session) => {
    const accept = Array.from({ length: 1000 }, (_, index) => `text/x${index}`).join(",");
    const answer = await session.get("/studies", accept);
    expectRefused(answer, 400, 406, 431);
  },
  "accept-nonsense": async (session) => {
    const answer = await session.get("/studies", ';;;,,="');
    expect(answer.status < 500, `The answer is ${answer.status}.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  },
  "header-of-1-mb": async (session) => {
    const { host, pathname } = new URL(session.target.url);
    const long = "a".repeat(1_000_000);
    const status = await exchangeRaw(
      session.target.url,
      `GET ${pathname}/studies HTTP/1.1\r\nHost: ${host}\r\nX-Long: ${long}\r\nConnection: close\r\n\r\n`,
    );
    expect(status === 0 || (status >= 400 && status < 500), `The answer is ${status}.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  },
  "malformed-request-line": async (session) => {
    const { host } = new URL(session.target.url);
    const status = await exchangeRaw(session.target.url, `G E T / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    expect(status === 0 || (status >= 400 && status < 500) || status === 501, `The answer is ${status}.`);
    expectStatus(await session.search("/studies", { limit: "1" }), 200, 204);
  },
  "unknown-method": async (session) => {
    expectStatus(await session.request("/studies", { method: "PROPFIND" }), 400, 405, 501);
  },
  "wrong-method": async (session) => {
    const answer = expectStatus(await session.request("/studies", { method: "PUT", body: "" }), 405);
    expect(header(answer, "allow").includes("GET"), "Allow does not name GET.");
  },
  "unknown-resource": refused("/no-such-resource", 404),
  "bulk-data-nonsense": refused((session) => `${instancePath(session)}/bulkdata/zzz`, 400, 404),
  "store-nested-deep": async (session) => {
    // (0040,A043) of undefined length with an item of undefined length, again and again.
    const level = Buffer.from("400043a053510000fffffffffeff00e0ffffffff", "hex");
    const instance = session.run.scratch("nested");
    const file = Buffer.concat([
      instance.file.subarray(0, -pixelElement),
      ...Array.from({ length: 5000 }, () => level),
    ]);
    expectClientError(await session.storeBody("/studies", "application/dicom", file, [instance]));
  },
  "store-false-length": async (session) => {
    const instance = session.run.scratch("false length");
    const element = Buffer.from("0900011055540000f0ffff7f", "hex");
    const file = Buffer.concat([instance.file.subarray(0, -pixelElement), element]);
    expectClientError(await session.storeBody("/studies", "application/dicom", file, [instance]));
  },
  "unknown-key-is-told": async (session) => {
    const answer = await session.search("/studies", { PixelSpacing: "1", PatientID: session.run.patientId("A") });
    expect(answer.status === 400 || warns(answer, /./), `The answer is ${answer.status} without a Warning.`);
    expect(header(answer, "content-type").startsWith(media.json) || answer.status === 400, "The answer is not JSON.");
  },
};
