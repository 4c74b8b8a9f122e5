/** Query tags while instances go and come back, and while a process that indexes is killed. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateRawSync } from "node:zlib";
import type { Knex } from "knex";
import request from "supertest";
import { z } from "zod";
import { newUid } from "../../server/dicom/uid.ts";
import { first, toDataSets } from "../support/dicom-json.ts";
import { type Attributes, instanceFile } from "../support/instances.ts";
import { testDatabase } from "../support/postgres.ts";
import { startProcess } from "../support/process.ts";
import { startTestServer } from "../support/server.ts";

const tagAnswer = z.object({
  status: z.string(),
  progress: z.object({ done: z.number(), total: z.number().nullable() }),
});

async function tell(url: string, tag: string) {
  const response = await request(url).get(`/api/query-tags/${tag}`);
  assert.equal(response.status, 200, response.text);
  return tagAnswer.parse(response.body);
}

async function until<Value>(what: string, look: () => Promise<Value>, done: (value: Value) => boolean): Promise<Value> {
  for (let tries = 0; tries < 400; tries += 1) {
    const value = await look();
    if (done(value)) return value;
    await sleep(25);
  }
  return assert.fail(`${what} never came`);
}

async function found(url: string, resource: string, query: Readonly<Record<string, string>>): Promise<string[]> {
  const response = await request(url).get(`/dicom-web/${resource}`).query(query);
  assert.equal(response.status, 200, response.text);
  const tag = resource === "studies" ? "0020000D" : "00080018";
  return toDataSets(JSON.parse(response.text))
    .map((match) => String(first(match, tag)))
    .sort();
}

describe("query tags over time", () => {
  it("follow instances that are removed, and that come back", async (t) => {
    const server = await startTestServer();
    t.after(() => server.stop());
    const uids = { StudyInstanceUID: newUid(), SeriesInstanceUID: newUid() };
    const store = async (attributes: Attributes) => {
      const file = instanceFile({ ...uids, ...attributes });
      const stored = await request(server.url)
        .post("/dicom-web/studies")
        .set("Content-Type", "application/dicom")
        .send(file.bytes);
      assert.equal(stored.status, 200, stored.text);
      return file.sopInstanceUid;
    };
    const added = await request(server.url)
      .post("/api/query-tags")
      .send([
        { path: "ConvolutionKernel", level: "study" },
        { path: "FilterType", level: "instance" },
      ]);
    assert.equal(added.status, 202, added.text);
    await until(
      "the index",
      () => tell(server.url, "FilterType"),
      ({ status }) => status === "ready",
    );
    const soft = await store({ ConvolutionKernel: "soft", FilterType: "A" });
    const hard = await store({ ConvolutionKernel: "hard", FilterType: "B" });
    const studiesOf = (kernel: string) => found(server.url, "studies", { ConvolutionKernel: kernel });
    const has = (list: readonly string[]) => list.length === 1;
    const hasNot = (list: readonly string[]) => list.length === 0;

    const series = `/dicom-web/studies/${uids.StudyInstanceUID}/series/${uids.SeriesInstanceUID}`;
    assert.equal((await request(server.url).delete(`${series}/instances/${hard}`)).status, 204);
    assert.deepEqual(await found(server.url, "instances", { FilterType: "*", ConvolutionKernel: "soft" }), [soft]);
    assert.deepEqual(await found(server.url, "instances", { FilterType: "B" }), []);
    await until("its value gone", () => studiesOf("hard"), hasNot);
    assert.deepEqual(await studiesOf("soft"), [uids.StudyInstanceUID]);

    const listed = await request(server.url).get("/api/removed");
    const [removal] = z.object({ removals: z.array(z.object({ id: z.number() })) }).parse(listed.body).removals;
    assert.equal((await request(server.url).post(`/api/removed/${removal?.id}/restore`)).status, 200);
    await until("its value back", () => studiesOf("hard"), has);
    await until("its value back", () => found(server.url, "instances", { FilterType: "B" }), has);

    assert.equal((await request(server.url).delete(`/dicom-web/studies/${uids.StudyInstanceUID}`)).status, 204);
    assert.deepEqual(await studiesOf("soft"), []);
    const left = await server.knex("query_tag_value").count();
    assert.deepEqual(left, [{ count: 0 }]);
  });

  it("are indexed to the end when the process that indexes is killed", async (t) => {
    const database = await testDatabase();
    const folder = await mkdtemp(path.join(tmpdir(), "noctis-test-"));
    const settings = { DATABASE_URL: database.url, DATA_DIR: folder };
    const count = 40_000;
    await seed(database.knex, count);
    const killed = startProcess(settings);
    t.after(async () => {
      killed.kill("SIGKILL");
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    });
    const url = await killed.listening;
    const added = await request(url).post("/api/query-tags").send({ path: "ConvolutionKernel", level: "instance" });
    assert.equal(added.status, 202, added.text);
    const begun = await until(
      "progress",
      () => tell(url, "ConvolutionKernel"),
      ({ progress }) => progress.done > 0,
    );
    killed.kill("SIGKILL");
    await killed.ended;
    assert.equal(begun.status, "adding");
    const next = startProcess(settings);
    t.after(() => next.kill("SIGKILL"));
    const nextUrl = await next.listening;
    const ready = await until(
      "the end",
      () => tell(nextUrl, "ConvolutionKernel"),
      ({ status }) => status === "ready",
    );
    assert.deepEqual(ready.progress, { done: count, total: count });
    const [{ values }] = await database.knex("query_tag_value").select({ values: database.knex.raw("count(*)") });
    assert.equal(values, count);
    next.kill("SIGTERM");
    await next.ended;
  });
});

async function seed(knex: Knex, count: number): Promise<void> {
  await knex.raw(`insert into study (study_instance_uid, attributes) values ('1.2', '{}')`);
  await knex.raw(
    `insert into series (study_id, series_instance_uid, attributes, instance_count)
     select id, '1.2.3', '{}', ? from study`,
    [count],
  );
  const metadata = deflateRawSync('{"00181210":{"vr":"SH","Value":["B30f"]}}');
  await knex.raw(
    `insert into instance (series_id, sop_instance_uid, sop_class_uid, attributes, metadata, transfer_syntax_uid,
       blob_key, byte_length, sha256, data_set_offset)
     select series.id, '1.2.3.' || number, '1.2', '{}', ?, '1.2', 'seeded/' || number, 1, '\\x00', 0
     from series, generate_series(1, ?) as number`,
    [metadata, count],
  );
}
