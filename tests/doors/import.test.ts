/** `noctis import` and `noctis demo` against a running server: what was sent is there, and is not sent twice. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";

import { findFiles } from "../../server/cli/import-files.ts";
import type { Instance, Outcome } from "../../server/cli/import-instance.ts";
import { storeAll } from "../../server/cli/import-store.ts";
import { demoInstances } from "../../server/cli/demo-patient.ts";
import { demoCommand } from "../../server/cli/demo.ts";
import { importCommand } from "../../server/cli/import.ts";
import { StowClient } from "../../server/cli/stow-client.ts";
import { instanceFile } from "../support/instances.ts";
import { corpusPath, requirement } from "../support/require.ts";
import { startTestServer } from "../support/server.ts";

const connections = 4;

function tally(outcomes: ReadonlyMap<Instance, Outcome>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { kind } of outcomes.values()) counts[kind] = (counts[kind] ?? 0) + 1;
  return counts;
}

describe("noctis import and demo", () => {
  let server: Awaited<ReturnType<typeof startTestServer>>;
  let root: string;
  let client: StowClient;
  let folder: string;
  before(async () => {
    server = await startTestServer();
    root = `${server.url}/dicom-web`;
    client = new StowClient({ url: new URL(root), connections });
    folder = await mkdtemp(join(tmpdir(), "noctis-import-"));
  });
  after(async () => {
    client.close();
    await server.stop();
    await rm(folder, { recursive: true });
  });

  it("does not take a file with the UIDs of another for one that is there", async () => {
    const one = instanceFile({ PatientID: "A" });
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = one;
    const uids = {
      StudyInstanceUID: studyInstanceUid,
      SeriesInstanceUID: seriesInstanceUid,
      SOPInstanceUID: sopInstanceUid,
    };
    const outcomes: Outcome["kind"][] = [];
    for (const { bytes } of [one, one, instanceFile({ ...uids, PatientID: "B" })]) {
      const file = join(folder, "same-uids.dcm");
      await writeFile(file, bytes);
      const { instances } = await findFiles([file], connections);
      for (const { kind } of (await storeAll(instances, { client, connections })).values()) outcomes.push(kind);
    }
    await rm(join(folder, "same-uids.dcm"));
    assert.deepEqual(outcomes, ["stored", "already-there", "not-stored"]);
  });

  it("stores the demonstration, and nothing of it twice", async () => {
    assert.equal(await demoCommand.run(["--url", root]), 0);
    const instances = [...demoInstances()].map(({ file }): Instance => {
      const { name, identifiers, bytes } = file;
      return {
        name,
        identifiers,
        byteLength: bytes.length,
        async *open() {
          yield bytes;
        },
      };
    });
    assert.deepEqual(tally(await storeAll(instances, { client, connections })), { "already-there": 154 });
    const answer = await fetch(`${root}/studies?PatientID=DEMO-0001`);
    const studies: unknown = await answer.json();
    assert.ok(Array.isArray(studies) && studies.length === 3);
  });

  it("stores a DICOMDIR file-set, and skips it the second time", requirement("corpus"), async () => {
    const path = corpusPath("dicomdir", "fileset");
    assert.equal(await importCommand.run([path, "--url", root]), 0);
    const { instances } = await findFiles([path], 8);
    const outcomes = await storeAll(instances, { client, connections });
    assert.deepEqual(tally(outcomes), { "already-there": instances.length });
  });

  it("gives back what it stored bit-exact", requirement("corpus"), async () => {
    const { instances } = await findFiles([corpusPath("dicomdir", "fileset")], 8);
    const [first] = instances;
    assert.ok(first);
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = first.identifiers;
    const url = `${root}/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
    const answer = await fetch(url, {
      headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' },
    });
    const body = Buffer.from(await answer.arrayBuffer());
    assert.ok(body.includes(await readFile(first.name)));
  });

  it("never skips silently the second of two different files with one UID", requirement("corpus"), async () => {
    const pair = ["a", "b"].map((which) => corpusPath("malformed", `same_uid_other_pixels_${which}.dcm`));
    assert.equal(await importCommand.run([...pair, "--url", root]), 1);
    assert.equal(await importCommand.run([...pair, "--url", root]), 1);
  });

  it("fails for a file that is not DICOM, and stores the others", async () => {
    const [demo] = demoInstances();
    assert.ok(demo);
    await writeFile(join(folder, "IM0"), demo.file.bytes);
    assert.equal(await importCommand.run([folder, "--url", root]), 0);
    await writeFile(join(folder, "letter.txt"), "Dear colleague");
    assert.equal(await importCommand.run([folder, "--url", root]), 1);
  });

  it("says when nothing listens, and when it is asked wrongly", async () => {
    assert.equal(await importCommand.run([folder, "--url", "http://127.0.0.1:9/dicom-web"]), 1);
    assert.equal(await importCommand.run([]), 2);
    assert.equal(await importCommand.run([folder, "--url", "not a url"]), 2);
    assert.equal(await importCommand.run(["--help"]), 0);
  });
});
