/** Content negotiation, character sets, capabilities (PS3.18 8.3.3, 8.4, 8.7, 8.8, 8.9). */
import type { Check, Checks } from "../check.ts";
import { expect, expectBytes, expectParts, expectStatus, expectType, soleBody } from "../expect.ts";
import { header } from "../http.ts";
import { media, pathsOf, type Session } from "../session.ts";

const metadataPath = (session: Session) => `${pathsOf(session.need(session.fixtures.mr)).instance}/metadata`;
const instancePath = (session: Session) => pathsOf(session.need(session.fixtures.mr)).instance;

/** Metadata for an Accept header is JSON. */
function givesJson(accept: string): Check {
  return async (session) => {
    expectType(expectStatus(await session.get(metadataPath(session), accept), 200), "application/dicom+json");
  };
}

/** Metadata for an Accept header is XML. */
function givesXml(accept: string): Check {
  return async (session) => {
    expectParts(expectStatus(await session.get(metadataPath(session), accept), 200), "application/dicom+xml");
  };
}

/** An instance for an Accept header is refused. */
function refuses(accept: string): Check {
  return async (session) => void expectStatus(await session.get(instancePath(session), accept), 406);
}

export const negotiationChecks: Checks = {
  "accept-absent": async (session) => {
    const answer = expectStatus(await session.request(metadataPath(session)), 200);
    expect(/^(application\/dicom\+json|multipart\/related)/.test(header(answer, "content-type")), "It is no metadata.");
  },
  "accept-any": givesJson("*/*"),
  "accept-application-any": givesJson("application/*"),
  "accept-star-alone": givesJson("*"),
  "accept-case": givesJson("Application/DICOM+JSON"),
  "accept-several": givesJson("image/png, application/dicom+json"),
  "accept-several-headers-blanks": givesJson("  image/png ,application/dicom+json  "),
  "accept-q": givesXml(`application/dicom+json; q=0.2, ${media.xml}; q=0.8`),
  "accept-q-other-way": givesJson(`application/dicom+json; q=0.9, ${media.xml}; q=0.1`),
  "accept-q-zero": givesXml(`application/dicom+json; q=0, ${media.xml}`),
  "accept-specific-first": givesXml(`*/*; q=0.1, ${media.xml}`),
  "accept-application-json": async (session) => {
    const answer = expectStatus(await session.get(metadataPath(session), "application/json"), 200);
    expect(/^application\/(dicom\+)?json/.test(header(answer, "content-type")), "The answer is not JSON.");
    JSON.parse(answer.body.toString("utf8"));
  },
  "accept-viewer-metadata": givesJson(
    "application/dicom+json, multipart/related; type=application/octet-stream; transfer-syntax=*",
  ),
  "accept-q-zero-everything": refuses("*/*; q=0"),
  "accept-json-for-instance": refuses("application/dicom+json"),
  "accept-parameter": async (session) => {
    const accept = encodeURIComponent(media.json);
    const path = `${metadataPath(session)}?accept=${accept}`;
    expectType(expectStatus(await session.request(path), 200), "application/dicom+json");
  },
  "accept-parameter-overrides": async (session) => {
    const path = `${metadataPath(session)}?accept=${encodeURIComponent(media.json)}`;
    const answer = await session.get(path, "image/png");
    expectType(expectStatus(answer, 200), "application/dicom+json");
  },
  "accept-parameter-plus-sign": async (session) => {
    const path = `${metadataPath(session)}?accept=application/dicom+json`;
    expectType(expectStatus(await session.request(path), 200), "application/dicom+json");
  },
  "accept-parameter-not-acceptable": async (session) => {
    expectStatus(await session.request(`${metadataPath(session)}?accept=image/png`), 406);
  },
  "accept-parameter-of-instance": async (session) => {
    const accept = encodeURIComponent("application/dicom; transfer-syntax=*");
    const answer = expectStatus(await session.request(`${instancePath(session)}?accept=${accept}`), 200);
    expectBytes(soleBody(answer), session.fixtures.mr.file, "The instance");
  },
  "not-acceptable-lists": async (session) => {
    const answer = expectStatus(await session.get(metadataPath(session), "image/png"), 406);
    expect(answer.body.includes("application/dicom+json"), "The answer does not name what is available.");
  },
  "accept-charset-utf8": async (session) => {
    expectStatus(await session.get(metadataPath(session), media.json, { "Accept-Charset": "utf-8" }), 200);
  },
  "accept-charset-other": async (session) => {
    const answer = await session.get(metadataPath(session), media.json, { "Accept-Charset": "iso-8859-1, *;q=0.1" });
    expectStatus(answer, 200);
  },
  "charset-parameter": async (session) => {
    expectStatus(await session.get(`${metadataPath(session)}?charset=utf-8`), 200);
  },
  "charset-refused": async (session) => {
    const headers = { "Accept-Charset": "utf-8;q=0, iso-8859-1" };
    expectStatus(await session.get(metadataPath(session), media.json, headers), 406, 200);
  },
  "charset-parameter-in-search": async (session) => {
    const answer = await session.search("/studies", { PatientID: session.run.patientId("A"), charset: "utf-8" });
    expectStatus(answer, 200);
  },
  "options-capabilities": async (session) => {
    const answer = expectStatus(await session.request("/", { method: "OPTIONS" }), 200);
    expect(answer.body.length > 0, "The answer has no body.");
  },
  "capabilities-wadl": async (session) => {
    const accept = "application/vnd.sun.wadl+xml";
    const answer = await session.request("/", { method: "OPTIONS", headers: { Accept: accept } });
    expectType(expectStatus(answer, 200), accept);
    expect(answer.body.includes("<application"), "The body is not a WADL document.");
    for (const name of ["studies", "{study}", "metadata"])
      expect(answer.body.includes(name), `It does not name ${name}.`);
  },
  "capabilities-json": async (session) => {
    const accept = "application/json";
    const answer = await session.request("/", { method: "OPTIONS", headers: { Accept: accept } });
    expectStatus(answer, 200);
    expect(header(answer, "content-type").includes("json"), "It is not JSON.");
    JSON.parse(answer.body.toString("utf8"));
  },
  "capabilities-get": async (session) => {
    expectStatus(await session.get("/", "application/vnd.sun.wadl+xml"), 200);
  },
  "options-allow": async (session) => {
    const answer = expectStatus(await session.request("/studies", { method: "OPTIONS" }), 200, 204);
    const allow = header(answer, "allow");
    expect(allow.includes("GET") && allow.includes("POST"), `Allow is ${allow || "absent"}.`);
  },
  "options-allow-instance": async (session) => {
    const answer = expectStatus(await session.request(instancePath(session), { method: "OPTIONS" }), 200, 204);
    expect(header(answer, "allow").includes("GET"), "Allow does not name GET.");
  },
  nosniff: async (session) => {
    const answer = await session.get(metadataPath(session));
    expect(header(answer, "x-content-type-options") === "nosniff", "X-Content-Type-Options is not nosniff.");
  },
};
