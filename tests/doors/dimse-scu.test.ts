/** This side as SCU, with the archive of DCMTK: what it says is told as it is, and every instance that does not come. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import type { DicomJson } from "../../server/dicom/json.ts";
import { newUid } from "../../server/dicom/uid.ts";
import type { Service } from "../../server/dimse/association.ts";
import { connect, type PeerAddress } from "../../server/dimse/connect.ts";
import { echo } from "../../server/dimse/scu-echo.ts";
import { find } from "../../server/dimse/scu-find.ts";
import { listInstances } from "../../server/dimse/scu-instances.ts";
import { move } from "../../server/dimse/scu-move.ts";
import { retrieve } from "../../server/dimse/scu-retrieve.ts";
import { isComplete } from "../../server/dimse/sub-operations.ts";
import { type DcmtkServer, freePort, startDcmqrscp, startStorescp, storescu } from "../support/dcmtk.ts";
import { instanceFile, type InstanceFile } from "../support/instances.ts";
import { requirement } from "../support/require.ts";

const requestor = { connect, callingAeTitle: "NOCTIS" };
const studyDate = "00080020";
const patientName = "00100010";
const studyInstanceUid = "0020000D";

const study = newUid();
const seriesUids = [newUid(), newUid()];
const files: readonly InstanceFile[] = [
  ...[1, 2, 3].map((number) => instance({ SeriesInstanceUID: String(seriesUids[0]), InstanceNumber: number })),
  instance({ SeriesInstanceUID: String(seriesUids[1]) }),
];
const otherFile = instanceFile({ PatientID: "TEST-2", StudyDate: "20250304" });

function instance(attributes: Record<string, string | number>): InstanceFile {
  return instanceFile({ StudyInstanceUID: study, ...attributes });
}

/** A service that keeps the digest of each data set that comes, and answers success. */
function keeping(kept: Map<string, string>): Service {
  return async ({ command, dataSet, respond }) => {
    const hash = createHash("sha256");
    for await (const chunk of dataSet ?? []) hash.update(chunk);
    kept.set(command.affectedSopInstanceUid ?? "", hash.digest("hex"));
    await respond({ status: 0 });
  };
}

async function gathered(matches: AsyncIterable<DicomJson>): Promise<DicomJson[]> {
  const all: DicomJson[] = [];
  for await (const match of matches) all.push(match);
  return all;
}

/** Digest of the data set of a file that instanceFile has made: what follows the file meta information. */
function digestOf({ bytes }: InstanceFile): string {
  const start = 144 + bytes.readUInt32LE(140);
  return createHash("sha256").update(bytes.subarray(start)).digest("hex");
}

describe("as SCU, with dcmqrscp", requirement("dcmtk"), () => {
  let archive: DcmtkServer;
  let destination: DcmtkServer;
  let peer: PeerAddress;
  let folder: string;

  before(async () => {
    destination = await startStorescp();
    const destinations = [
      { aeTitle: "DEST", port: destination.port },
      { aeTitle: "DEAD", port: await freePort() },
    ];
    archive = await startDcmqrscp(destinations);
    peer = { aeTitle: "DCMQR", host: "127.0.0.1", port: archive.port };
    folder = await mkdtemp(path.join(tmpdir(), "noctis-scu-"));
    for (const [index, { bytes }] of [...files, otherFile].entries()) {
      await writeFile(path.join(folder, `${index}.dcm`), bytes);
    }
    await storescu(archive.port, "DCMQR", folder);
  });
  after(async () => {
    await archive.stop();
    await destination.stop();
    await rm(folder, { recursive: true, force: true });
  });

  it("asks whether it is there", async () => {
    const result = await echo(requestor, peer);
    assert.match(result.implementationVersionName ?? "", /DCMTK/);
    assert.equal(result.maximumLength, 131_072);
    await assert.rejects(echo(requestor, { ...peer, aeTitle: "OTHER" }), { code: "association-rejected" });
    await assert.rejects(echo(requestor, { ...peer, port: await freePort() }), { code: "peer-unreachable" });
  });

  it("finds studies, series and instances", async () => {
    const keys = { [studyDate]: { vr: "DA", Value: ["20240101-20240131"] }, [patientName]: { vr: "PN" } };
    const studies = await gathered(
      find(requestor, peer, {
        model: "study",
        level: "STUDY",
        keys: { ...keys, [studyInstanceUid]: { vr: "UI" } },
      }),
    );
    assert.deepEqual(
      studies.map((match) => [match[studyInstanceUid]?.Value, match[patientName]?.Value]),
      [[[study], [{ Alphabetic: "Test^Patient" }]]],
    );
    const instances = await listInstances(requestor, peer, { studyInstanceUid: study });
    assert.deepEqual(
      instances.map(({ sopInstanceUid }) => sopInstanceUid).toSorted(),
      files.map(({ sopInstanceUid }) => sopInstanceUid).toSorted(),
    );
    assert.ok(instances.every(({ modality }) => modality === "OT"));
    const ofPatient = await listInstances(requestor, peer, { patientId: "TEST-2" });
    assert.deepEqual(
      ofPatient.map(({ sopInstanceUid }) => sopInstanceUid),
      [otherFile.sopInstanceUid],
    );
  });

  it("has it send to a destination, and counts", async () => {
    const progress: (number | undefined)[] = [];
    const target = { studyInstanceUid: study };
    const onProgress = ({ remaining }: { readonly remaining: number | undefined }) => progress.push(remaining);
    const result = await move(requestor, peer, { target, destination: "DEST", onProgress });
    assert.deepEqual([result.status, result.completed, result.failed, result.fault], [0, 4, 0, undefined]);
    assert.ok(isComplete(result));
    assert.deepEqual(progress, [3, 2, 1, 0]);
    const names = await readdir(destination.folder);
    for (const { sopInstanceUid } of files) assert.ok(names.some((name) => name.endsWith(sopInstanceUid)));
  });

  it("says what it says of a destination that is unknown or dead", async () => {
    const target = { studyInstanceUid: study };
    const unknown = await move(requestor, peer, { target, destination: "NOBODY" });
    assert.equal(unknown.status, 0xa801);
    assert.ok(!isComplete(unknown));
    const dead = await move(requestor, peer, { target, destination: "DEAD" });
    assert.ok(!isComplete(dead), JSON.stringify(dead));
    assert.notEqual(dead.status, 0);
  });

  it("gets instances as they are", async () => {
    const kept = new Map<string, string>();
    const result = await retrieve(requestor, peer, {
      target: { studyInstanceUid: study },
      store: keeping(kept),
      ownAeTitle: "NOCTIS",
      present: async () => new Set(kept.keys()),
    });
    assert.deepEqual(
      [result.by, result.isComplete, result.expected, result.received, result.failures],
      ["get", true, 4, 4, []],
    );
    for (const file of files) assert.equal(kept.get(file.sopInstanceUid), digestOf(file));
    const one = new Map<string, string>();
    const [file] = files;
    assert.ok(file);
    const { studyInstanceUid: of, seriesInstanceUid, sopInstanceUid } = file;
    const alone = await retrieve(requestor, peer, {
      target: { studyInstanceUid: of, seriesInstanceUid, sopInstanceUid },
      store: keeping(one),
      ownAeTitle: "NOCTIS",
      present: async () => new Set(one.keys()),
    });
    assert.ok(alone.isComplete);
    assert.deepEqual([...one.keys()], [sopInstanceUid]);
  });

  it("has it send what it does not let get", async (t) => {
    const withoutGet = await startDcmqrscp([{ aeTitle: "DEST", port: destination.port }], ["--disable-get"]);
    t.after(() => withoutGet.stop());
    await storescu(withoutGet.port, "DCMQR", path.join(folder, "4.dcm"));
    const target = { studyInstanceUid: otherFile.studyInstanceUid };
    const request = {
      target,
      store: keeping(new Map()),
      ownAeTitle: "DEST",
      present: async () => new Set([otherFile.sopInstanceUid]),
    };
    const moved = await retrieve(requestor, { ...peer, port: withoutGet.port }, request);
    assert.deepEqual([moved.by, moved.isComplete, moved.received], ["move", true, 1]);
    const [name = ""] = (await readdir(destination.folder)).filter((one) => one.endsWith(otherFile.sopInstanceUid));
    assert.ok((await readFile(path.join(destination.folder, name))).length > 0);
    await assert.rejects(retrieve(requestor, { ...peer, port: withoutGet.port }, { ...request, by: "get" }), {
      code: "context-not-accepted",
    });
    // Whatever the peer says: what is not in the archive has not come.
    const lost = await retrieve(
      requestor,
      { ...peer, port: withoutGet.port },
      { ...request, present: async () => new Set<string>() },
    );
    assert.equal(lost.isComplete, false);
    assert.deepEqual(
      lost.failures.map(({ sopInstanceUid }) => sopInstanceUid),
      [otherFile.sopInstanceUid],
    );
  });

  it("says that it has nothing of what it does not know", async () => {
    const request = {
      target: { studyInstanceUid: newUid() },
      store: keeping(new Map()),
      ownAeTitle: "NOCTIS",
      present: async () => new Set<string>(),
    };
    await assert.rejects(retrieve(requestor, peer, request), { code: "no-such-resource" });
  });

  it("tells what this side did not store", async () => {
    const [refused] = files;
    const kept = new Map<string, string>();
    const keep = keeping(kept);
    const store: Service = (request) =>
      request.command.affectedSopInstanceUid === refused?.sopInstanceUid
        ? request.respond({ status: 0xa700, errorComment: "disk full" })
        : keep(request);
    const result = await retrieve(requestor, peer, {
      target: { studyInstanceUid: study },
      store,
      ownAeTitle: "NOCTIS",
      present: async () => new Set(kept.keys()),
    });
    assert.equal(result.isComplete, false);
    assert.equal(result.received, 3);
    assert.deepEqual(result.failures, [
      {
        sopInstanceUid: refused?.sopInstanceUid,
        status: 0xa700,
        reason: "this archive did not store it: A700: refused: out of resources (disk full)",
      },
    ]);
  });
});
