/** Hostile and mistaken values in every parameter of every route: an answer of the 4xx family in words, never a 5xx. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { z } from "zod";
import { pathParameters } from "../../server/http/openapi.ts";
import type { Route } from "../../server/http/route.ts";
import { routes } from "../../server/http/routes.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

/** What people and programs have put into parameters. */
const hostile: readonly string[] = [
  "",
  " ",
  "' OR 1=1--",
  "1'; DROP TABLE instance;--",
  "$1",
  "\\",
  "../../etc/passwd",
  "..\\..\\boot.ini",
  "a\0b",
  "\u202e名前𝕏\u0301",
  "<script>alert(1)</script>",
  "*",
  "?*".repeat(200),
  "((((((((((a{1,1000}){1,1000}",
  "1.2.x",
  "1..2",
  "0",
  "-1",
  "1000000000",
  "99999999999999999999999999",
  "1e309",
  "NaN",
  "20241301",
  "99999999-00000000",
  "-",
  '{"a":[1]}',
  "a".repeat(5000),
];

/** Characters that no answer may hold: of SQL, of a stack trace, of a path on the machine. */
const leaks = /\bselect\b|\binsert\b|at .+\.ts:\d|node_modules|\/tmp\/|\/home\//i;

const problemDocument = z.object({ status: z.number(), code: z.string(), detail: z.string().min(10).max(700) }).loose();

interface Answer {
  readonly status: number;
  readonly text: string;
  /** The sentence of a problem document. */
  readonly detail: string;
}

/** One route of each kind: those of one method and transaction share their parameters and the reading of them. */
const kinds = [
  ...new Map(routes.map((route) => [`${route.method} ${route.section} ${route.requestTypes.join()}`, route])).values(),
];

/** One attribute of each kind of matching. */
const fewAttributes: readonly string[] = [
  "PatientName",
  "PatientID",
  "StudyDate",
  "StudyTime",
  "StudyInstanceUID",
  "Modality",
  "SeriesNumber",
  "AcquisitionDateTime",
];

/** Parts of a path that are UIDs. */
const uidNames: readonly string[] = ["study", "series", "instance", "transaction"];

/** All at once, so that the machine is kept busy. */
async function each<T>(values: readonly T[], check: (value: T) => Promise<unknown>): Promise<void> {
  await Promise.all(values.map(check));
}

describe("bad input", () => {
  let server: TestServer;
  let file: InstanceFile;
  let slowest = { elapsed: 0, what: "" };

  before(async () => {
    server = await startTestServer();
    file = instanceFile();
    const headers = { "Content-Type": "application/dicom" };
    const stored = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: file.bytes });
    assert.equal(stored.status, 200);
  });
  after(() => server.stop());

  /** Asks, and checks what holds for every answer. */
  async function ask(method: string, target: string, init: RequestInit = {}): Promise<Answer> {
    const what = `${method} ${target.slice(0, 200)}`;
    const begun = performance.now();
    const response = await fetch(server.url + target, { ...init, method, redirect: "manual" });
    const text = await response.text();
    const elapsed = performance.now() - begun;
    if (elapsed > slowest.elapsed) slowest = { elapsed, what };
    assert.ok(response.status < 500, `${what}: ${response.status} ${text}`);
    if (response.status < 400 || text === "") return { status: response.status, text, detail: "" };
    assert.doesNotMatch(text, leaks, what);
    const type = response.headers.get("content-type") ?? "";
    // A store request that fails answers what became of each instance (PS3.18 10.5.3).
    if (response.status === 409 && type === "application/dicom+json") return { status: 409, text, detail: "" };
    assert.equal(type, "application/problem+json", what);
    const problem = problemDocument.parse(JSON.parse(text));
    assert.equal(problem.status, response.status, what);
    return { status: response.status, text, detail: problem.detail };
  }

  /** The path of a route: with what is stored where it is only read, else with what its documents give as examples. */
  function pathOf(route: Route, replaced: Readonly<Record<string, string>> = {}): string {
    const examples = Object.fromEntries(pathParameters(route).map(({ name, example }) => [name, String(example)]));
    const { studyInstanceUid: study, seriesInstanceUid: series, sopInstanceUid: instance } = file;
    const stored = route.method === "GET" ? { study, series, instance } : {};
    const values: Readonly<Record<string, string>> = { ...examples, ...stored, ...replaced };
    return route.path.replaceAll(/[:*](\w+)/g, (_, name: string) => encodeURIComponent(values[name] ?? name));
  }

  it("in a path is answered with 400 or 404, wherever it stands", async () => {
    for (const route of routes) {
      for (const name of Object.keys(route.params.shape)) {
        await each(hostile, async (value) => {
          const { status } = await ask(route.method, pathOf(route, { [name]: value }));
          // An empty segment is another address.
          const isUid = /^[0-9]+$/.test(value) || value === "";
          if (!isUid && uidNames.includes(name)) assert.equal(status, 400, `${route.path} ${name}=${value}`);
        });
      }
    }
  });

  it("in a parameter is answered with 400 that names it, when it is not taken", async () => {
    for (const route of kinds) {
      for (const { name, isAttribute } of route.query) {
        // Every attribute is matched at some level by the same code: a few stand for all.
        if (isAttribute && !fewAttributes.includes(name)) continue;
        const key = name.startsWith("<") ? "PatientName" : name;
        await each(hostile, async (value) => {
          const target = `${pathOf(route)}?${key}=${encodeURIComponent(value)}`;
          const { status, detail } = await ask(route.method, target);
          // Where a body or another parameter is needed, its absence may be told first.
          const told = status === 400 && route.requestTypes.length === 0 && !detail.endsWith(" is missing.");
          if (told) assert.ok(detail.includes(key), `${target}: ${detail}`);
        });
      }
    }
  });

  it("as the name of a parameter is answered, too", async () => {
    for (const route of kinds) {
      await each(hostile, async (name) => {
        const { status } = await ask(route.method, `${pathOf(route)}?${encodeURIComponent(name)}=1`);
        // Eight digits are a tag, known or not.
        const isName = name.trim() === "" || /^[0-9]{8}$/.test(name);
        if (!isName && route.section === "PS3.18 10.6") assert.equal(status, 400, name);
      });
    }
  });

  it("in a header is answered, too", async () => {
    const values = ["", ",", ";;;", "a", "a/b;c=", '"', "bytes=0-0,-1,5-2", "bytes=-99999999999", "*/*;q=x", "*"];
    for (const route of kinds) {
      for (const header of [
        "Accept",
        "Range",
        "If-None-Match",
        "If-Modified-Since",
        "Content-Type",
        "Accept-Encoding",
      ]) {
        await each(values, (value) => ask(route.method, pathOf(route), { headers: { [header]: value } }));
      }
    }
  });

  it("in a body is answered, too", async () => {
    const bodies = ["", "{", "null", "[]", "{}", '"a"', "1e400", "[[[[[[", "[".repeat(50_000), '{"__proto__":1}', "<a"];
    for (const route of kinds) {
      for (const type of route.requestTypes) {
        const full = type.startsWith("multipart/") ? `${type}; type="application/dicom"; boundary=b` : type;
        for (const body of bodies) {
          const { status } = await ask(route.method, pathOf(route), { headers: { "Content-Type": full }, body });
          assert.ok(status >= 200, route.path);
        }
      }
    }
  });

  const studies = "/dicom-web/studies";
  /** A mistake, its status, and what the sentence names. */
  const mistakes: readonly (readonly [target: string, status: number, named: string])[] = [
    [`${studies}?NoSuchAttribute=1`, 400, "NoSuchAttribute"],
    [`${studies}?00100O10=1`, 400, "00100O10"],
    [`${studies}?StudyDate=20241301`, 400, "StudyDate"],
    [`${studies}?StudyDate=2024-01-01`, 400, "StudyDate"],
    [`${studies}?StudyDate=2024*`, 400, "StudyDate"],
    [`${studies}?StudyTime=256161`, 400, "StudyTime"],
    [`${studies}?StudyInstanceUID=1.2.*`, 400, "StudyInstanceUID"],
    [`${studies}?StudyInstanceUID=1.2.x`, 400, "StudyInstanceUID"],
    ["/dicom-web/series?SeriesNumber=1*", 400, "SeriesNumber"],
    [`${studies}?limit=-1`, 400, "limit"],
    [`${studies}?limit=`, 400, "limit"],
    [`${studies}?limit=1&limit=2`, 400, "limit"],
    [`${studies}?offset=one`, 400, "offset"],
    [`${studies}?fuzzymatching=maybe`, 400, "fuzzymatching"],
    [`${studies}?includefield=NoSuchAttribute`, 400, "includefield"],
    [`${studies}?PatientID=%00`, 400, "PatientID"],
    [`${studies}?PatientID=%ZZ`, 400, "PatientID"],
    [`${studies}/abc`, 400, "study"],
    [`${studies}/1.2/series/abc`, 400, "series"],
  ];

  for (const [target, status, named] of mistakes) {
    it(`answers ${target} with ${status}, naming ${named}`, async () => {
      const answer = await ask("GET", target);
      assert.equal(answer.status, status, answer.text);
      assert.ok(answer.detail.includes(named), answer.detail);
    });
  }

  it("answers an offset beyond the end with no match", async () => {
    for (const offset of ["1000000000", "99999999999999999999"]) {
      const { status, text } = await ask("GET", `${studies}?offset=${offset}`);
      assert.deepEqual([status, text], [200, "[]"]);
    }
  });

  it("answers frames that cannot be with 400, and that are not there with 404", async () => {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = file;
    const frames = `${studies}/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}/frames`;
    for (const list of ["0", "-1", "1,,2", "1.5", "one", "1e3", "10000000000", "1,0"]) {
      assert.equal((await ask("GET", `${frames}/${list}`)).status, 400, list);
    }
    for (const list of ["2", "999999999", "1000000000", "1,2"]) {
      assert.ok([400, 404].includes((await ask("GET", `${frames}/${list}`)).status), list);
    }
  });

  it("leaves a server that answers, with all that was stored", async (t) => {
    const { status, text } = await ask("GET", `/dicom-web/instances?SOPInstanceUID=${file.sopInstanceUid}`);
    assert.equal(status, 200);
    assert.match(text, new RegExp(file.sopInstanceUid));
    t.diagnostic(`slowest answer: ${Math.round(slowest.elapsed)} ms for ${slowest.what}`);
    // Meant are 100 ms; the machine may be busy.
    assert.ok(slowest.elapsed < 2000, `${slowest.elapsed} ms for ${slowest.what}`);
  });
});
