/** A restored archive answers what the one answered that was backed up: on folders, on buckets, and from one to the other. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { describeSnapshots } from "../../server/archive/backup-list.ts";
import { verifyBackup } from "../../server/archive/backup-verify.ts";
import { restoreBackup } from "../../server/archive/restore.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import type { Blobs } from "../../storage/blobs.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { backUp, emptyDatabase, everyRow, freshFolder, keysOf } from "../support/backups.ts";
import { instanceFile } from "../support/instances.ts";
import { palette } from "../support/palettes.ts";
import { freshBucket, s3Requirement, startS3, type TestS3 } from "../support/s3.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const { signal } = new AbortController();

/** Objects of an archive or of a backup: a store, and the settings of a server on it. */
interface Place {
  readonly blobs: Blobs;
  readonly settings: Readonly<Record<string, string>>;
}

async function onFolder(t: TestContext): Promise<Place> {
  const folder = await freshFolder(t);
  return { blobs: await openFileBlobs({ folder: `${folder}/objects` }), settings: { DATA_DIR: folder } };
}

async function onBucket(t: TestContext, { endpoint, accessKey, secretKey, region }: TestS3): Promise<Place> {
  const bucket = freshBucket();
  const blobs = await openS3Blobs({ endpoint, accessKey, secretKey, region, bucket });
  t.after(() => blobs.close());
  const keys = { S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey };
  return { blobs, settings: { S3_ENDPOINT: endpoint, S3_BUCKET: bucket, ...keys, S3_REGION: region } };
}

async function post(server: TestServer, path: string, body: Buffer<ArrayBuffer> | object) {
  const isFile = Buffer.isBuffer(body);
  const headers = { "Content-Type": isFile ? "application/dicom" : "application/json" };
  return fetch(`${server.url}${path}`, { method: "POST", headers, body: isFile ? body : JSON.stringify(body) });
}

/** An archive with something of everything; gives what to ask of it. */
async function filled(server: TestServer): Promise<readonly string[]> {
  const tag = await post(server, "/api/query-tags", [{ path: "00081040", level: "study" }]);
  const files = [1, 2, 3].map((index) =>
    instanceFile({ PatientName: `Test^Patient^${index}`, InstitutionalDepartmentName: `Ward ${index}` }),
  );
  const big = instanceFile({ PixelData: new ArrayBuffer(9 * 1024 * 1024), Rows: 3072, Columns: 3072 });
  const answers = [tag];
  for (const { bytes } of [...files, big]) answers.push(await post(server, "/dicom-web/studies", bytes));
  const hot = palette("HOT_IRON");
  answers.push(await post(server, "/dicom-web/color-palettes", hot.bytes));
  answers.push(await post(server, "/api/webhooks", { url: "http://127.0.0.1:9/hook", filter: { origin: "nobody" } }));
  const [gone] = files;
  const study = (uid = "") => `/dicom-web/studies/${uid}`;
  answers.push(await fetch(`${server.url}${study(gone?.studyInstanceUid)}`, { method: "DELETE" }));
  assert.deepEqual(
    answers.filter(({ ok }) => !ok).map(({ status, url }) => `${status} ${url}`),
    [],
  );
  return [
    "/dicom-web/studies?includefield=all",
    "/dicom-web/studies?InstitutionalDepartmentName=Ward%202",
    "/dicom-web/instances",
    ...[...files, big].flatMap((file) => {
      const instance = `${study(file.studyInstanceUid)}/series/${file.seriesInstanceUid}/instances/${file.sopInstanceUid}`;
      return [study(file.studyInstanceUid), `${study(file.studyInstanceUid)}/metadata`, `${instance}/frames/1`];
    }),
    `/dicom-web/color-palettes/${hot.uid}`,
    "/api/changes",
    "/api/removed",
    "/api/webhooks",
    "/api/query-tags",
  ];
}

/** Answers without what differs from one server and one answer to the next: the address, and the boundaries of parts. */
async function answersOf(server: TestServer, paths: readonly string[]) {
  const answers: Record<string, string> = {};
  for (const path of paths) {
    const response = await fetch(`${server.url}${path}`);
    const boundary = /boundary="?([^";]+)/.exec(response.headers.get("content-type") ?? "")?.[1] ?? "--none--";
    const body = Buffer.from(await response.arrayBuffer()).toString("latin1");
    // What can be restored can be for as long after a restore as at the backup.
    const until = /"restorableUntil":"[^"]*"/g;
    const text = body.replaceAll(server.url, "").replaceAll(boundary, "").replaceAll(until, "");
    answers[path] = `${response.status} ${createHash("sha256").update(text).digest("hex")} ${text.slice(0, 200)}`;
  }
  return answers;
}

/** Waits for what a server does in the background: values of tags, numbers of changes, what webhooks pass over. */
async function settled({ knex }: TestServer): Promise<void> {
  while (true) {
    const { rows }: { rows: { open: boolean }[] } = await knex.raw(
      `select exists (select 1 from query_tag where status <> 'ready') or exists (select 1 from query_tag_recheck)
         or exists (select 1 from change where sequence is null)
         or exists (select 1 from webhook where cursor < (select max(sequence) from change)) as open`,
    );
    if (rows[0]?.open === false) return;
    await sleep(20);
  }
}

async function roundTrip(t: TestContext, from: Place, to: Place, target: Blobs): Promise<void> {
  const source = await startTestServer(from.settings);
  t.after(() => source.stop());
  const paths = await filled(source);
  await settled(source);
  const answers = await answersOf(source, paths);
  const absent = Object.values(answers).filter((answer) => !answer.startsWith("200 ")).length;
  assert.equal(absent, 3, "of the study that was removed");
  const rows = await everyRow(source.knex);
  const archive = { blobs: from.blobs, catalog: createCatalog(source.knex) };
  const first = await backUp(archive, target);
  assert.deepEqual([first.instances, first.objects, first.copied.copiedObjects], [3, 5, 5]);
  assert.equal((await backUp(archive, target)).copied.copiedObjects, 0);
  assert.equal((await describeSnapshots(target)).length, 1, "of one day one is kept");
  const { faults, objects } = await verifyBackup(target, { signal });
  assert.deepEqual([faults, objects], [[], 5]);
  const knex = await emptyDatabase(t);
  const restored = await restoreBackup({ knex, blobs: to.blobs }, { target, snapshot: undefined, signal });
  assert.deepEqual([restored.copied, restored.faultCount], [5, 0]);
  assert.deepEqual(await everyRow(knex), rows);
  const { rows: named }: { rows: { url: string }[] } = await knex.raw("select current_database() as url");
  const url = Object.assign(new URL(source.shared.DATABASE_URL), { pathname: `/${named[0]?.url}` });
  const copy = await startTestServer({ ...to.settings, DATABASE_URL: url.href });
  try {
    assert.deepEqual(await answersOf(copy, paths), answers);
    const removals = z.object({ removals: z.array(z.object({ id: z.number() })) });
    const [removal] = removals.parse(await (await fetch(`${copy.url}/api/removed`)).json()).removals;
    assert.equal((await fetch(`${copy.url}/api/removed/${removal?.id}/restore`, { method: "POST" })).status, 200);
    assert.equal((await fetch(`${copy.url}${paths[3]}`)).status, 200, "what was removed can be brought back");
    assert.equal((await keysOf(to.blobs)).length, 5);
  } finally {
    await copy.stop();
  }
}

describe("a backup and its restore", () => {
  it("of a folder in a folder", async (t) => {
    await roundTrip(t, await onFolder(t), await onFolder(t), (await onFolder(t)).blobs);
  });
});

describe("a backup and its restore on S3", s3Requirement(), () => {
  it("of a bucket in a folder, and of a folder in a bucket", async (t) => {
    const s3 = await startS3();
    t.after(() => s3.stop());
    await roundTrip(t, await onBucket(t, s3), await onBucket(t, s3), (await onFolder(t)).blobs);
    await roundTrip(t, await onFolder(t), await onFolder(t), (await onBucket(t, s3)).blobs);
  });
});
