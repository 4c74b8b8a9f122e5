/** What Noctis has beyond the standard: cursors, counts, patients, ZIP, CORS, the description of its interface. */
import { api, jsonOf, pair } from "../api.ts";
import type { Checks } from "../check.ts";
import { dataSetsOf, textOf } from "../dicom-json.ts";
import { expect, expectEqual, expectStatus, expectType } from "../expect.ts";
import { type Answer, header } from "../http.ts";
import { media, pathsOf } from "../session.ts";
import { transferSyntax } from "../write-dicom.ts";

/** The address of the next page, of the Link header. */
function nextOf(answer: Answer): string | undefined {
  return /<([^>]+)>;\s*rel="?next"?/.exec(header(answer, "link"))?.[1];
}

export const extraChecks: Checks = {
  "link-cursor": async (session) => {
    const [first] = session.fixtures.ct;
    const path = `${pathsOf(session.need(first)).study}/instances?limit=3`;
    const page = expectStatus(await session.get(path), 200);
    const next = nextOf(page);
    expect(next !== undefined, "The answer has no Link to the next page.");
    const rest = expectStatus(await session.requestUrl(next, { headers: { Accept: media.json } }), 200);
    const uids = [...dataSetsOf(page), ...dataSetsOf(rest)].map((match) => textOf(match, "SOPInstanceUID"));
    expectEqual(
      [uids.length, new Set(uids).size],
      [4, 4],
      "The number of instances of both pages, and of different ones",
    );
    expect(nextOf(rest) === undefined, "The last page has a Link to a next one.");
  },
  "link-cursor-stable": async (session) => {
    const [first, second] = await pair(session, "cursor");
    const path = `${pathsOf(first).series}/instances?limit=1`;
    const page = expectStatus(await session.get(path), 200);
    const next = nextOf(page);
    expect(next !== undefined, "The answer has no Link to the next page.");
    const attributes = { ...session.run.scratchAttributes("cursor"), InstanceNumber: 0 };
    await session.stored(session.run.instance("cursor", "s", "3", attributes, transferSyntax.explicitLittle));
    const rest = expectStatus(await session.requestUrl(next, { headers: { Accept: media.json } }), 200);
    const uids = [...dataSetsOf(page), ...dataSetsOf(rest)].map((match) => textOf(match, "SOPInstanceUID"));
    for (const { sopInstanceUid } of [first, second]) {
      expectEqual(uids.filter((uid) => uid === sopInstanceUid).length, 1, "How often an instance comes");
    }
  },
  "link-cursor-forged": async (session) => {
    expectStatus(await session.get("/studies?limit=1"), 200);
    expectStatus(await session.get("/studies?limit=1&cursor=Zm9yZ2Vk"), 400);
  },
  "total-count": async (session) => {
    const [first] = session.fixtures.ct;
    const answer = await session.get(`${pathsOf(session.need(first)).study}/instances?limit=1&count=true`);
    expectEqual(header(expectStatus(answer, 200), "x-total-count"), "4", "X-Total-Count");
  },
  "order-by": async (session) => {
    const dates = async (orderby: string) => {
      const found = await session.matches("/studies", { PatientID: session.run.patientId("A"), orderby });
      return found.map((match) => textOf(match, "StudyDate") ?? "");
    };
    const [up, down] = [await dates("StudyDate"), await dates("-StudyDate")];
    expectEqual(up, up.toSorted(), "Study Dates that ascend");
    expectEqual(down, up.toReversed(), "Study Dates that descend");
  },
  "order-by-unknown": async (session) => {
    expectStatus(await session.search("/studies", { orderby: "StudyDate" }), 200);
    expectStatus(await session.search("/studies", { orderby: "Nothing" }), 400);
  },
  patients: async (session) => {
    session.need(session.fixtures.photo);
    const found = await session.matches("/patients", { PatientID: session.run.patientId("A") });
    expectEqual(found.length, 1, "The number of patients");
    expectEqual(textOf(found[0], "PatientName"), `Conf${session.run.letters}^Ada^Mary`, "Patient's Name");
    expectEqual(textOf(found[0], "NumberOfPatientRelatedStudies"), "2", "Number of Patient Related Studies");
  },
  "zip-study": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    const answer = expectStatus(await session.get(study, "application/zip"), 200);
    expectType(answer, "application/zip");
    expectEqual(answer.body.toString("latin1", 0, 2), "PK", "The first bytes");
    const entries = answer.body.toString("latin1").split("PK\u0001\u0002").length - 1;
    expect(entries >= 4, `The archive has ${entries} entries instead of 4 or more.`);
  },
  "cors-refused-by-default": async (session) => {
    const answer = await session.get("/studies?limit=1", media.json, { Origin: "https://viewer.example" });
    const allowed = header(expectStatus(answer, 200), "access-control-allow-origin");
    expect(allowed === "" || allowed !== "null", "The origin null is let in.");
    expect(
      !(allowed === "*" && header(answer, "access-control-allow-credentials") === "true"),
      "Credentials with a star.",
    );
  },
  "open-api": async (session) => {
    const document = jsonOf(expectStatus(await api(session, "/openapi.json"), 200));
    expect(String(document["openapi"]).startsWith("3.1"), "It is not OpenAPI 3.1.");
    const paths = Object.keys(Object(document["paths"]));
    expect(
      paths.some((path) => path.endsWith("/studies/{study}/metadata")),
      "It does not name metadata of a study.",
    );
  },
  "docs-page": async (session) => {
    const answer = await session.requestUrl(`${session.target.apiUrl}/docs`, { headers: { Accept: "text/html" } });
    expectType(expectStatus(answer, 200), "text/html");
    expect(answer.body.includes("/studies"), "The page does not name /studies.");
  },
  health: async (session) => {
    const origin = new URL(session.target.url).origin;
    expectStatus(await session.requestUrl(`${origin}/health/ready`), 200);
  },
  "forwarded-host": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    const headers = { "X-Forwarded-Proto": "https", "X-Forwarded-Host": "pacs.example" };
    const [match] = dataSetsOf(expectStatus(await session.get(`${study}/series`, media.json, headers), 200));
    const url = textOf(match, "RetrieveURL") ?? "";
    expect(url.startsWith("https://pacs.example/"), `The Retrieve URL is ${url}.`);
  },
  "unsupported-parameter-ignored": async (session) => {
    const answer = await session.search("/studies", { PatientID: session.run.patientId("A"), nosuchparameter: "1" });
    expectEqual(dataSetsOf(expectStatus(answer, 200)).length, 2, "The number of matches");
  },
  "unsupported-parameter-of-retrieve": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.mr));
    expectStatus(await session.get(`${instance}/metadata?nosuchparameter=1`), 200);
  },
};
