/** Query tags: made, told, removed; what is stored before, while and after. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import request from "supertest";
import { z } from "zod";
import { type Attributes, instanceFile } from "../support/instances.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const tagAnswer = z.object({
  path: z.string(),
  keyword: z.string().optional(),
  vr: z.string(),
  privateCreator: z.string().optional(),
  level: z.string(),
  status: z.enum(["adding", "ready"]),
  progress: z.object({ done: z.number(), total: z.number().nullable(), percent: z.number() }),
  errors: z.number(),
});

describe("/api/query-tags", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  async function store(bytes: Buffer): Promise<void> {
    const stored = await request(server.url)
      .post("/dicom-web/studies")
      .set("Content-Type", "application/dicom")
      .send(bytes);
    assert.equal(stored.status, 200, stored.text);
  }

  async function storeInstance(attributes: Attributes) {
    const file = instanceFile(attributes);
    await store(file.bytes);
    return file;
  }

  const add = (body: object) => request(server.url).post("/api/query-tags").send(body);

  async function tell(path: string) {
    const response = await request(server.url).get(`/api/query-tags/${path}`);
    assert.equal(response.status, 200, response.text);
    return tagAnswer.parse(response.body);
  }

  async function ready(path: string) {
    for (let tries = 0; tries < 200; tries += 1) {
      const tag = await tell(path);
      if (tag.status === "ready") return tag;
      await sleep(50);
    }
    return assert.fail(`${path} is not ready`);
  }

  it("indexes what was stored before, with its progress and its faults", async () => {
    await storeInstance({ PatientAge: "030Y", AcquisitionDuration: 1.5 });
    const { sopInstanceUid } = await storeInstance({ InstanceCreationDate: "20249999" });
    const added = await add([
      { path: "PatientAge", level: "study" },
      { path: "00080012", level: "instance" },
    ]);
    assert.equal(added.status, 202, added.text);
    const tags = z.array(tagAnswer).parse(added.body);
    assert.deepEqual(
      tags.map(({ path, keyword, vr }) => [path, keyword, vr]),
      [
        ["00101010", "PatientAge", "AS"],
        ["00080012", "InstanceCreationDate", "DA"],
      ],
    );
    const date = await ready("InstanceCreationDate");
    assert.deepEqual(date.progress, { done: 2, total: 2, percent: 100 });
    assert.equal(date.errors, 1);
    assert.equal((await ready("00101010")).errors, 0);
    const errors = await request(server.url).get("/api/query-tags/00080012/errors");
    assert.equal(errors.body[0].sopInstanceUid, sopInstanceUid);
    assert.equal(errors.body[0].value, "20249999");
    const listed = await request(server.url).get("/api/query-tags");
    assert.equal(listed.body.length, 2);
  });

  it("forgets a tag at once, and lets it be made again", async () => {
    assert.equal((await add({ path: "PatientSize", level: "study" })).status, 202);
    assert.equal((await request(server.url).delete("/api/query-tags/PatientSize")).status, 204);
    assert.equal((await request(server.url).get("/api/query-tags/PatientSize")).status, 404);
    assert.equal((await request(server.url).delete("/api/query-tags/PatientSize")).status, 404);
    assert.equal((await add({ path: "PatientSize", level: "study" })).status, 202);
    await ready("PatientSize");
  });

  it("refuses what cannot be a query tag, and says why", async () => {
    const many = Array.from({ length: 129 }, (_, index) => ({
      path: `0019xx${(index % 256).toString(16).padStart(2, "0")}`,
      vr: "LO",
      privateCreator: "MANY",
      level: "instance",
    }));
    assert.equal((await add({ path: "EthnicGroup", level: "study" })).status, 202);
    const cases: readonly [body: object | string, status: number, naming: RegExp][] = [
      [{ path: "NoSuchKeyword", level: "study" }, 400, /NoSuchKeyword/],
      [{ path: "PatientAge" }, 400, /level/],
      [{ path: "PatientAge", level: "patient" }, 400, /level/],
      [{ path: "PatientAge", level: "study", vr: "LO" }, 400, /vr/],
      [{ path: "PixelData", level: "instance" }, 400, /OW/],
      [{ path: "RequestAttributesSequence", level: "series" }, 400, /SQ/],
      [{ path: "00191007", level: "series", privateCreator: "ACME" }, 400, /vr/],
      [{ path: "00191007", level: "series", vr: "LO" }, 400, /privateCreator/],
      [{ path: "00191007", level: "series", vr: "UN", privateCreator: "ACME" }, 400, /UN/],
      [{ path: "PatientAge", level: "study", privateCreator: "ACME" }, 400, /privateCreator/],
      [{ path: "EthnicGroup", level: "study" }, 409, /query tag already/],
      [{ path: "PatientName", level: "study" }, 409, /without a query tag/],
      [{ path: "Modality", level: "instance" }, 409, /without a query tag/],
      [{ path: "PatientAge", level: "study", surprise: 1 }, 400, /surprise/],
      [[], 400, /no tag/],
      [many, 400, /128/],
      [many.slice(0, 127), 409, /128/],
    ];
    for (const [body, status, naming] of cases) {
      const response = await (typeof body === "string"
        ? request(server.url).post("/api/query-tags").send(body)
        : add(body));
      const shown = JSON.stringify(body).slice(0, 80);
      assert.equal(response.status, status, `${shown} ${response.text}`);
      assert.match(response.body.detail, naming, shown);
    }
    const text = await request(server.url).post("/api/query-tags").set("Content-Type", "text/plain").send("x");
    assert.equal(text.status, 415);
    assert.equal((await request(server.url).get("/api/query-tags/nonsense")).status, 400);
    assert.equal((await request(server.url).get("/api/query-tags/0018xx01")).status, 400);
  });
});
