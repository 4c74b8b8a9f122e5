/** Validators, conditions, ranges and HEAD (RFC 9110 13 and 14) of what PS3.18 retrieves. */
import { setTimeout } from "node:timers/promises";
import type { Check, Checks } from "../check.ts";
import { expect, expectBytes, expectEqual, expectParts, expectStatus } from "../expect.ts";
import { type Answer, header } from "../http.ts";
import { media, pathsOf, type Session } from "../session.ts";

/** One kind of resource, and what is asked of it. */
interface Resource {
  readonly name: string;
  readonly accept: string;
  readonly urlOf: (session: Session) => string | Promise<string>;
}

/** The resources of the MR instance, as addresses. */
function mrUrls(session: Session): ReturnType<typeof pathsOf> {
  const { study: studyPath, series, instance: instancePath } = pathsOf(session.need(session.fixtures.mr));
  const { url } = session.target;
  return { study: url + studyPath, series: url + series, instance: url + instancePath };
}

const instance: Resource = { name: "instance", accept: media.single, urlOf: (session) => mrUrls(session).instance };
const frame: Resource = {
  name: "frame",
  accept: "application/octet-stream",
  urlOf: (session) => `${mrUrls(session).instance}/frames/1`,
};
const bulkData: Resource = {
  name: "bulk-data",
  accept: "application/octet-stream",
  urlOf: (session) => session.bulkDataUrl(session.fixtures.forms, "00091011:OW"),
};
const metadata: Resource = {
  name: "metadata",
  accept: media.json,
  urlOf: (session) => `${mrUrls(session).series}/metadata`,
};
const study: Resource = { name: "study", accept: media.dicom, urlOf: (session) => mrUrls(session).study };
const search: Resource = {
  name: "search",
  accept: media.json,
  urlOf: ({ target, fixtures }) => `${target.url}/studies?StudyInstanceUID=${fixtures.mr.studyInstanceUid}`,
};

const validated = [instance, frame, bulkData, metadata, search];
const ranged = [instance, frame, bulkData];

async function whole(session: Session, resource: Resource): Promise<Answer> {
  return expectStatus(await conditional(session, resource, {}), 200);
}

/** A request with further headers. */
async function conditional(
  session: Session,
  { accept, urlOf }: Resource,
  headers: Readonly<Record<string, string>>,
  method = "GET",
): Promise<Answer> {
  return session.requestUrl(await urlOf(session), { method, headers: { Accept: accept, ...headers } });
}

const notModified: Checks = Object.fromEntries(
  validated.flatMap((resource): [string, Check][] => [
    [
      `etag-${resource.name}`,
      async (session) => {
        const etag = header(await whole(session, resource), "etag");
        expect(/^(W\/)?"[^"]+"$/.test(etag), `ETag is ${etag || "absent"}.`);
        const answer = expectStatus(await conditional(session, resource, { "If-None-Match": etag }), 304);
        expectEqual(answer.body.length, 0, "The length of the body");
        expectStatus(await conditional(session, resource, { "If-None-Match": '"another"' }), 200);
      },
    ],
    [
      `last-modified-${resource.name}`,
      async (session) => {
        const dateOf = async () => header(await whole(session, resource), "last-modified");
        let date = await dateOf();
        expect(!Number.isNaN(Date.parse(date)), `Last-Modified is ${date || "absent"}.`);
        // A server may give what it has just stored a date that no 304 follows from (RFC 9110 8.8.2.2).
        if ((await conditional(session, resource, { "If-Modified-Since": date })).status === 200) {
          await setTimeout(3000);
          date = await dateOf();
        }
        expectStatus(await conditional(session, resource, { "If-Modified-Since": date }), 304);
        const before = "Sat, 01 Jan 2000 00:00:00 GMT";
        expectStatus(await conditional(session, resource, { "If-Modified-Since": before }), 200);
      },
    ],
  ]),
);

function typeOf(answer: Answer): string | undefined {
  return header(answer, "content-type").split(";", 1)[0];
}

const heads: Checks = Object.fromEntries(
  [...validated, study].map((resource): [string, Check] => [
    `head-${resource.name}`,
    async (session) => {
      const get = await whole(session, resource);
      const answer = await conditional(session, resource, {}, "HEAD");
      expectStatus(answer, 200);
      expectEqual(answer.body.length, 0, "The length of the body");
      expectEqual(typeOf(answer), typeOf(get), "Content-Type");
      expectEqual(header(answer, "etag"), header(get, "etag"), "ETag");
    },
  ]),
);

const ranges: Checks = Object.fromEntries(
  ranged.flatMap((resource): [string, Check][] => [
    [
      `range-${resource.name}`,
      async (session) => {
        const { body } = await whole(session, resource);
        const answer = expectStatus(await conditional(session, resource, { Range: "bytes=4-19" }), 206);
        expectEqual(header(answer, "content-range"), `bytes 4-19/${body.length}`, "Content-Range");
        expectBytes(answer.body, body.subarray(4, 20), "The range");
      },
    ],
    [
      `range-suffix-${resource.name}`,
      async (session) => {
        const { body } = await whole(session, resource);
        const answer = expectStatus(await conditional(session, resource, { Range: "bytes=-10" }), 206);
        expectBytes(answer.body, body.subarray(-10), "The range");
      },
    ],
    [
      `range-beyond-${resource.name}`,
      async (session) => {
        const { body } = await whole(session, resource);
        const answer = expectStatus(await conditional(session, resource, { Range: "bytes=99999999-" }), 416);
        expectEqual(header(answer, "content-range"), `bytes */${body.length}`, "Content-Range");
      },
    ],
  ]),
);

export const conditionalChecks: Checks = {
  ...notModified,
  ...heads,
  ...ranges,
  "etag-changes-with-series": async (session) => {
    const [first, second] = ["1", "2"].map((name) =>
      session.run.instance("etag", "s", name, session.run.scratchAttributes("etag"), "1.2.840.10008.1.2.1"),
    );
    if (!first || !second) throw new TypeError("two were written");
    await session.stored(first);
    const path = `${pathsOf(first).series}/metadata`;
    const etag = header(expectStatus(await session.get(path), 200), "etag");
    expect(etag !== "", "Metadata has no ETag.");
    await session.stored(second);
    expectStatus(await session.get(path, media.json, { "If-None-Match": etag }), 200);
  },
  "if-none-match-list": async (session) => {
    const etag = header(await whole(session, instance), "etag");
    expectStatus(await conditional(session, instance, { "If-None-Match": `"one", ${etag}, "two"` }), 304);
  },
  "if-none-match-star": async (session) => {
    expectStatus(await conditional(session, instance, { "If-None-Match": "*" }), 304);
  },
  "if-match-fails": async (session) => {
    expectStatus(await conditional(session, instance, { "If-Match": '"another"' }), 412);
  },
  "if-unmodified-since-fails": async (session) => {
    const past = "Sat, 01 Jan 2000 00:00:00 GMT";
    expectStatus(await conditional(session, instance, { "If-Unmodified-Since": past }), 412);
  },
  "if-range-same": async (session) => {
    const etag = header(await whole(session, instance), "etag");
    expectStatus(await conditional(session, instance, { Range: "bytes=0-3", "If-Range": etag }), 206);
  },
  "if-range-other": async (session) => {
    const { body } = await whole(session, instance);
    const answer = await conditional(session, instance, { Range: "bytes=0-3", "If-Range": '"another"' });
    expectBytes(expectStatus(answer, 200).body, body, "The whole");
  },
  "range-several": async (session) => {
    const { body } = await whole(session, instance);
    const answer = await conditional(session, instance, { Range: "bytes=0-3,128-131" });
    expectStatus(answer, 200, 206);
    if (answer.status === 200) return expectBytes(answer.body, body, "The whole");
    expect(header(answer, "content-type").startsWith("multipart/byteranges"), "It is not multipart/byteranges.");
    expect(answer.body.includes("DICM"), "The second range is missing.");
  },
  "range-malformed-is-ignored": async (session) => {
    expectStatus(await conditional(session, instance, { Range: "lines=1-2" }), 200);
  },
  "accept-ranges": async (session) => {
    expectEqual(header(await whole(session, instance), "accept-ranges"), "bytes", "Accept-Ranges");
  },
  "content-length": async (session) => {
    const answer = await whole(session, instance);
    expectEqual(header(answer, "content-length"), String(answer.body.length), "Content-Length");
  },
  "vary-accept": async (session) => {
    for (const resource of [metadata, search]) {
      const vary = header(await whole(session, resource), "vary");
      expect(/accept\b/i.test(vary), `Vary of ${resource.name} is ${vary || "absent"}.`);
    }
  },
  "range-of-multipart-not-broken": async (session) => {
    const answer = await conditional(session, study, { Range: "bytes=0-9" });
    expectStatus(answer, 200, 206);
    if (answer.status === 200) expectParts(answer, "application/dicom");
  },
};
