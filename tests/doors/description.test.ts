/** What the server says of itself: capabilities, OPTIONS, OpenAPI and the page for people, all of the one list. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { SaxesParser } from "saxes";
import request from "supertest";
import { z } from "zod";
import { mediaByType } from "../../server/archive/media-classes.ts";
import { operationId } from "../../server/http/route.ts";
import { dicomWebRoot, routes } from "../../server/http/routes.ts";
import { requirement } from "../support/require.ts";
import { startBrowser } from "../support/browser.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const ofDicomWeb = routes.filter(({ path }) => path.startsWith(`${dicomWebRoot}/`));
const templateOf = (path: string) => path.replaceAll(/[:*](\w+)/g, "{$1}");

/** Methods of a WADL document by full path, read without help from the code under test. */
function methodsOf(wadl: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const path: string[] = [];
  const parser = new SaxesParser();
  parser.on("error", (error) => assert.fail(error));
  parser.on("opentag", ({ name, attributes }) => {
    if (name === "resource") path.push(String(attributes["path"]));
    if (name === "method") {
      const at = `${dicomWebRoot}/${path.join("/")}`;
      found.set(at, [...(found.get(at) ?? []), String(attributes["name"])]);
    }
  });
  parser.on("closetag", ({ name }) => {
    if (name === "resource") path.pop();
  });
  parser.write(wadl).close();
  return found;
}

describe("Retrieve Capabilities (PS3.18 8.9)", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  it("names every resource and method, by OPTIONS and by GET of the root, with a slash or without", async () => {
    const expected = Map.groupBy(ofDicomWeb, ({ path }) => templateOf(path));
    for (const method of ["options", "get"] as const) {
      for (const root of ["/dicom-web", "/dicom-web/"]) {
        const { status, headers, text } = await request(server.url)[method](root).buffer();
        assert.deepEqual([status, headers["content-type"]], [200, "application/vnd.sun.wadl+xml; charset=utf-8"]);
        if (method === "options") assert.equal(headers["allow"], "GET, HEAD, OPTIONS");
        assert.match(text, /<application xmlns="http:\/\/wadl\.dev\.java\.net\/2009\/02"><resources base="http:/);
        const actual = methodsOf(text);
        assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort());
        for (const [path, own] of expected) {
          assert.deepEqual(actual.get(path)?.sort(), own.map((route) => route.method).sort(), path);
        }
      }
    }
  });

  it("says what the requests and the answers of a method are", async () => {
    const { text } = await request(server.url).options("/dicom-web").buffer();
    const search = /<method name="GET" id="SearchForStudies">.*?<\/method>/s.exec(text)?.[0] ?? "";
    assert.match(search, /<param name="Accept" style="header"[^>]*><option value="application\/dicom\+json"\/>/);
    for (const name of ["PatientName", "StudyDate", "limit", "offset", "includefield", "fuzzymatching"]) {
      assert.ok(search.includes(`<param name="${name}" style="query"`), name);
    }
    assert.ok(!search.includes('name="SeriesNumber"'), "an attribute below the level is not matched");
    assert.match(search, /<response status="200"><representation mediaType="application\/dicom\+json"\/>/);
    assert.match(search, /<response status="400"><representation mediaType="application\/problem\+json"\/>/);
    assert.match(text, /<resource path="\{study\}"><param name="study" style="template" required="true"\/>/);
  });

  it("lists every media type that can be stored, and every one in which matches are answered", () => {
    const at = (method: string, path: string) => routes.find((one) => one.method === method && one.path.endsWith(path));
    const storable = at("POST", "/studies")?.requestTypes ?? [];
    const wrapped = new Set([...mediaByType.values()].map(({ mediaType }) => mediaType.toLowerCase()));
    for (const type of [...wrapped, "video/mpeg"]) assert.ok(storable.includes(type), type);
    for (const path of ["/patients", "/studies", "/studies/:study/series", "/instances"]) {
      const types = at("GET", path)?.responseTypes ?? [];
      assert.ok(types.includes('multipart/related; type="application/dicom+xml"'), path);
    }
  });

  it("answers JSON with the same content, and 406 for what it is not available as", async () => {
    for (const type of ["application/json", "application/vnd.sun.wadl+json"]) {
      const { status, headers, text } = await request(server.url).options("/dicom-web").set("Accept", type).buffer();
      assert.deepEqual([status, headers["content-type"]], [200, type]);
      const document = z.object({ application: z.object({ resources: z.array(z.object({ base: z.string() })) }) });
      assert.equal(document.parse(JSON.parse(text)).application.resources[0]?.base, `${server.url}/dicom-web/`);
      assert.match(text, /"id":"RetrieveFrames"/);
    }
    for (const method of ["options", "get"] as const) {
      const { status, type } = await request(server.url)[method]("/dicom-web").set("Accept", "image/png");
      assert.deepEqual([status, type], [406, "application/problem+json"]);
    }
  });

  it("sends a browser on to the page", async () => {
    const browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
    const { status, headers } = await request(server.url).get("/dicom-web/").set("Accept", browser).redirects(0);
    assert.deepEqual([status, headers["location"]], [303, "../api/docs"]);
  });

  it("answers OPTIONS of a resource with its methods, and with what is below it", async () => {
    const { status, headers, text } = await request(server.url).options("/dicom-web/studies/1.2/series").buffer();
    assert.deepEqual([status, headers["allow"]], [200, "GET, HEAD, OPTIONS"]);
    const paths = [...methodsOf(text).keys()];
    assert.ok(paths.length > 3 && paths.every((path) => path.startsWith("/dicom-web/studies/{study}/series")), text);
    const stores = await request(server.url).options("/dicom-web/studies");
    assert.deepEqual(stores.headers["allow"]?.split(", ").sort(), ["GET", "HEAD", "OPTIONS", "POST"]);
  });

  it("answers OPTIONS elsewhere with the methods alone, and 404 where nothing is", async () => {
    for (const [path, accept] of [
      ["/health/live", "*/*"],
      ["/dicom-web/studies", "image/png"],
    ] as const) {
      const { status, text, headers } = await request(server.url).options(path).set("Accept", accept);
      assert.deepEqual([status, text], [204, ""]);
      assert.match(headers["allow"] ?? "", /GET/);
    }
    assert.equal((await request(server.url).options("/nothing")).status, 404);
  });

  it("allows with 405 the methods that OPTIONS names", async () => {
    for (const path of ["/dicom-web/studies", "/dicom-web", "/health/live"]) {
      const { headers } = await request(server.url).options(path);
      const refused = await request(server.url).patch(path);
      assert.equal(refused.status, 405);
      assert.deepEqual(refused.headers["allow"]?.split(", ").sort(), headers["allow"]?.split(", ").sort());
    }
  });
});

const schemaObject = z.record(z.string(), z.unknown());
const mediaTypes = z.record(
  z.string().regex(/^[\w.+-]+\/[\w.+*-]+(; type="[\w./+-]+")?$/),
  z.object({ schema: schemaObject.optional() }).loose(),
);
const parameter = z.strictObject({
  name: z.string().regex(/^\w+$/),
  in: z.enum(["path", "query"]),
  description: z.string().min(5),
  required: z.literal(true).optional(),
  schema: schemaObject,
  style: z.literal("form").optional(),
  explode: z.literal(true).optional(),
  example: z.unknown().optional(),
});
const response = z.union([
  z.strictObject({ description: z.string().min(5), content: mediaTypes.optional() }),
  z.strictObject({ $ref: z.string() }),
]);
const operation = z.strictObject({
  operationId: z.string().regex(/^[A-Z]\w+$/),
  tags: z.array(z.string()).length(1),
  summary: z.string(),
  description: z.string(),
  parameters: z.array(parameter),
  requestBody: z.strictObject({ required: z.literal(true), content: mediaTypes }).optional(),
  responses: z.record(z.string().regex(/^([1-5]\d\d|default)$/), response),
});
/** OpenAPI 3.1 4.8, as far as the document goes. */
const openApi = z.strictObject({
  openapi: z.string().regex(/^3\.1\.\d+$/),
  info: z.looseObject({ title: z.string(), version: z.string() }),
  servers: z.array(z.strictObject({ url: z.url() })),
  tags: z.array(z.strictObject({ name: z.string() })),
  paths: z.record(z.string().regex(/^\//), z.partialRecord(z.enum(["get", "post", "put", "delete"]), operation)),
  components: z.strictObject({
    schemas: z.record(z.string(), schemaObject),
    responses: z.record(z.string(), response),
  }),
});

describe("/api/openapi.json", () => {
  let server: TestServer;
  let text: string;

  before(async () => {
    server = await startTestServer();
    const answer = await request(server.url).get("/api/openapi.json").expect("Content-Type", "application/json");
    text = answer.text;
  });
  after(() => server.stop());

  const document = () => openApi.parse(JSON.parse(text));

  it("is OpenAPI 3.1, of the address that was called", () => {
    assert.deepEqual(document().servers, [{ url: server.url }]);
  });

  it("has every route with every status, media type and parameter of it", () => {
    const { paths, tags } = document();
    for (const route of routes) {
      const { method, path, statuses, query, params, area, requestTypes, responseTypes } = route;
      const name = `${method} ${path}`;
      const described = operation.parse(schemaObject.parse(paths[templateOf(path)])[method.toLowerCase()]);
      assert.ok(tags.some((tag) => tag.name === area) && described.tags[0] === area, name);
      const answered = Object.keys(described.responses).filter((status) => status !== "default");
      assert.deepEqual(answered, [...new Set(statuses)].sort((a, b) => a - b).map(String), name);
      const inPath = described.parameters.filter((one) => one.in === "path").map((one) => one.name);
      assert.deepEqual(inPath.sort(), Object.keys(params.shape).sort(), name);
      assert.deepEqual(inPath.sort(), [...path.matchAll(/[:*](\w+)/g)].map(([, of = ""]) => of).sort(), name);
      const inQuery = described.parameters.filter((one) => one.in === "query").map((one) => one.name);
      assert.deepEqual(
        inQuery,
        query.map((one) => one.name.replaceAll(/[<>]/g, "")),
        name,
      );
      assert.deepEqual(Object.keys(described.requestBody?.content ?? {}), requestTypes, name);
      const success = described.responses["200"];
      if (success && "content" in success) assert.deepEqual(Object.keys(success.content ?? {}), responseTypes, name);
    }
    const count = Object.values(paths).reduce((sum, operations) => sum + Object.keys(operations).length, 0);
    assert.equal(count, routes.length);
  });

  it("names the sequences whose items are matched, and what orderby takes, at each level", () => {
    const meaningOf = (path: string, name: string) =>
      document().paths[path]?.get?.parameters.find((one) => one.name === name)?.description ?? "";
    const cases = [
      ["/dicom-web/patients", ["OtherPatientIDsSequence"], ["RequestAttributesSequence"], ["PatientID"], ["StudyDate"]],
      ["/dicom-web/studies", ["ProcedureCodeSequence"], ["RequestAttributesSequence"], ["StudyDate"], ["Modality"]],
      ["/dicom-web/series", ["RequestAttributesSequence"], ["ConceptNameCodeSequence"], ["Modality"], ["SOPClassUID"]],
      [
        "/dicom-web/instances",
        ["ConceptNameCodeSequence", "RequestAttributesSequence"],
        [],
        ["InstanceNumber"],
        ["Rows"],
      ],
    ] as const;
    for (const [path, sequences, noSequences, keys, noKeys] of cases) {
      const [attribute, orderby] = [meaningOf(path, "attribute"), meaningOf(path, "orderby")];
      for (const name of sequences) assert.ok(attribute.includes(name), `${path} ${name}`);
      for (const name of noSequences) assert.ok(!attribute.includes(name), `${path} ${name}`);
      for (const name of keys) assert.match(orderby, new RegExp(`[ :]${name}[,.]`));
      for (const name of noKeys) assert.doesNotMatch(orderby.split("Here:")[1] ?? "", new RegExp(`[ :]${name}[,.]`));
    }
  });

  it("has no two operations of one name, nor two parameters of one name in an operation", () => {
    const ids = routes.map(operationId);
    assert.equal(new Set(ids).size, ids.length, ids.join(" "));
    for (const operations of Object.values(document().paths)) {
      for (const { operationId: id, parameters } of Object.values(operations)) {
        const names = parameters.map((one) => `${one.in} ${one.name}`);
        assert.equal(new Set(names).size, names.length, id);
      }
    }
  });

  it("gives an example for every parameter of a path, and it fits", () => {
    for (const { path, params } of routes) {
      const own = document().paths[templateOf(path)];
      for (const { parameters } of Object.values(own ?? {})) {
        const examples = parameters.filter((one) => one.in === "path").map((one) => [one.name, one.example]);
        assert.ok(params.safeParse(Object.fromEntries(examples)).success, `${path}: ${JSON.stringify(examples)}`);
      }
    }
  });

  it("refers to nothing that it does not hold", () => {
    const { components } = document();
    for (const [, kind = "", name = ""] of text.matchAll(/"\$ref":"#\/components\/(\w+)\/(\w+)"/g)) {
      assert.ok(kind === "schemas" || kind === "responses");
      assert.ok(name in components[kind], `${kind}/${name}`);
    }
    assert.equal([...text.matchAll(/"\$ref":"(?!#\/components\/)/g)].length, 0);
  });

  it("describes problem documents as they are", async () => {
    const problem = schemaObject.parse(document().components.schemas["Problem"]);
    const keys = Object.keys(schemaObject.parse(problem["properties"]));
    const actual = schemaObject.parse(JSON.parse((await request(server.url).get("/nothing")).text));
    assert.deepEqual(Object.keys(actual).sort(), keys.sort());
  });
});

describe("/api/docs", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  it("shows every route, and lets nothing run or come from elsewhere", async () => {
    const { status, headers, text } = await request(server.url).get("/api/docs");
    assert.deepEqual([status, headers["content-type"]], [200, "text/html; charset=utf-8"]);
    assert.match(headers["content-security-policy"] ?? "", /^default-src 'none'; style-src 'sha256-[^']+';/);
    assert.doesNotMatch(text, /<script|\son\w+=|style="|<link rel="stylesheet"|src=/);
    for (const route of routes) assert.ok(text.includes(`<details id="${operationId(route)}">`), route.path);
    assert.ok(text.includes("A peer of DIMSE. Here: &quot;dimse&quot;."));
    // What a rule of forwarding takes, and what a peer takes in each of its two kinds.
    for (const [name, need] of [
      ["retryHours", "default 168"],
      ["aeTitle", "required"],
      ["url", "required"],
    ]) {
      assert.ok(text.includes(`<code>${name}</code><small>${need}</small>`), name);
    }
  });

  it("is drawn by a browser with its style, and without a complaint", requirement("chromium"), async () => {
    const browser = await startBrowser(server.url);
    try {
      await browser.page.goto(`${server.url}/api/docs`);
      await browser.page.locator("summary").first().click();
      assert.ok(await browser.page.locator("details[open] pre").first().isVisible());
      assert.equal(await browser.page.locator("details").count(), routes.length);
      const display = await browser.page.evaluate("getComputedStyle(document.querySelector('.columns')).display");
      assert.equal(display, "grid");
      for (const colorScheme of ["light", "dark"] as const) {
        await browser.page.emulateMedia({ colorScheme });
        const shade = String(await browser.page.evaluate("getComputedStyle(document.body).backgroundColor"));
        assert.equal(Number(/\d+/.exec(shade)?.[0]) < 128, colorScheme === "dark", shade);
      }
      assert.deepEqual(browser.problems(), []);
    } finally {
      await browser.stop();
    }
  });
});
