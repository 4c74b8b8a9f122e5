/** The whole corpus, whose every row is lost and made again of the objects: searches, metadata, bytes and frames are the same. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it, type TestContext } from "node:test";
import { createArchive } from "../../server/archive/archive.ts";
import { nonPatientCategoryOf } from "../../server/archive/non-patient-categories.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { loseEveryRow, pictureOf } from "../support/archive-picture.ts";
import { requirement } from "../support/require.ts";
import { freshBucket, s3Requirement, startS3 } from "../support/s3.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { readableInstances } from "./files.ts";

/** Stores what can be stored, one after the other; tells how many. */
async function storeCorpus({ url }: TestServer): Promise<number> {
  let stored = 0;
  for (const { name, path, sopClassUid } of await readableInstances()) {
    const resource = nonPatientCategoryOf(sopClassUid) ?? "studies";
    const response = await fetch(`${url}/dicom-web/${resource}`, {
      method: "POST",
      headers: { "Content-Type": "application/dicom" },
      body: await readFile(path),
    });
    // Some have no UIDs, and some those of others.
    assert.ok([200, 409].includes(response.status), `${name}: ${await response.text()}`);
    if (response.status === 200) stored += 1;
  }
  return stored;
}

async function comesBack(t: TestContext, server: TestServer, blobs: Blobs): Promise<void> {
  const stored = await storeCorpus(server);
  const expected = await pictureOf(server.url);
  await loseEveryRow(server.knex);
  const archive = createArchive({ blobs, catalog: createCatalog(server.knex), log: createLog("silent") });
  const problems: unknown[] = [];
  const begun = performance.now();
  const result = await archive.reindex({
    signal: AbortSignal.timeout(300_000),
    settle: 0,
    onProblem: (problem) => void problems.push(problem),
  });
  const seconds = (performance.now() - begun) / 1000;
  assert.deepEqual(problems, []);
  const { length } = await server.knex("instance").pluck("blob_key");
  assert.equal(result?.indexed, result?.listed);
  assert.deepEqual(await pictureOf(server.url), expected);
  t.diagnostic(
    `${stored} stores, ${length} instances and their objects (${result?.bytes} bytes) in ${seconds.toFixed(1)} s, ${expected.size} answers`,
  );
}

describe("the corpus after its rows were lost", requirement("corpus"), () => {
  it("comes back from files", async (t) => {
    const server = await startTestServer();
    t.after(() => server.stop());
    await comesBack(t, server, await openFileBlobs({ folder: server.objectFolder }));
  });

  it("comes back from a bucket", s3Requirement(), async (t) => {
    const s3 = await startS3();
    t.after(s3.stop);
    const bucket = freshBucket();
    const server = await startTestServer({
      S3_ENDPOINT: s3.endpoint,
      S3_BUCKET: bucket,
      S3_ACCESS_KEY: s3.accessKey,
      S3_SECRET_KEY: s3.secretKey,
      S3_REGION: s3.region,
    });
    t.after(() => server.stop());
    const blobs = await openS3Blobs({ ...s3, bucket });
    t.after(() => blobs.close());
    await comesBack(t, server, blobs);
  });
});
