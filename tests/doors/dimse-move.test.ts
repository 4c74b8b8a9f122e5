/** C-MOVE (PS3.4 C.4.2): to peers that take everything, some of it or nothing, that die in the middle, or are not there. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import type { Association, Service } from "../../server/dimse/association.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { dataSetBytes } from "../../server/archive/convert.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { startAcceptingPeer } from "../support/accepting-peer.ts";
import { freePort, startStorescp } from "../support/dcmtk.ts";
import { syntaxUid } from "../support/dicom-writer.ts";
import { dataSetOf, retrieve } from "../support/dimse-retrieve.ts";
import { heldObject, joined } from "../support/held-object.ts";
import { nativeImage } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const { explicitLittle, implicitLittle } = syntaxUid;

const study = newUid();
const files = [1, 2, 3, 4, 5].map((frames) => nativeImage(frames, explicitLittle, { study, series: study }));
const studyKeys = { "00080052": "STUDY", "0020000D": study };
const uids = files.map(({ path: url }) => path.basename(url));

describe("C-MOVE", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(files.map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(response.status, 200, await response.text());
  });
  after(() => server.stop());

  /** Makes a peer of that AE title, for as long as the test takes. */
  async function peerAt(t: TestContext, aeTitle: string, port: number): Promise<void> {
    const url = `${server.url}/api/peers/${aeTitle}`;
    const peer = { kind: "dimse", aeTitle, host: "127.0.0.1", port };
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(url, { method: "PUT", headers, body: JSON.stringify(peer) });
    assert.ok(response.ok, await response.text());
    t.after(() => fetch(url, { method: "DELETE" }));
  }

  /** A peer that keeps what it gets, and answers what `answer` says. */
  async function scriptedPeer(
    t: TestContext,
    answer: (command: Command, association: Association) => number | Promise<number>,
  ) {
    const got = new Map<string, Buffer>();
    const commands: Command[] = [];
    const store: Service = async ({ command, dataSet, association, respond }) => {
      const chunks: Buffer[] = [];
      if (dataSet) for await (const chunk of dataSet) chunks.push(chunk);
      commands.push(command);
      const status = await answer(command, association);
      if (status === 0) got.set(command.affectedSopInstanceUid ?? "", Buffer.concat(chunks));
      await respond({ status });
    };
    const peer = await startAcceptingPeer(new Map([[commandFields.cStoreRequest, store]]));
    t.after(() => peer.stop());
    return { ...peer, got, commands };
  }

  const counts = (command: Command) => [
    command.status,
    command.numberOfCompletedSuboperations,
    command.numberOfFailedSuboperations,
    command.numberOfWarningSuboperations,
  ];

  it("sends every instance to the peer, in the name of the requestor", async (t) => {
    const peer = await scriptedPeer(t, () => 0);
    await peerAt(t, "ARCHIVE2", peer.port);
    const { final, pending, failed } = await retrieve(server, { keys: studyKeys, destination: "ARCHIVE2" });
    assert.deepEqual(counts(final), [0, 5, 0, 0]);
    assert.equal(final.numberOfRemainingSuboperations, undefined);
    assert.deepEqual(failed, []);
    assert.deepEqual([...peer.got.keys()].sort(), uids.toSorted());
    for (const { moveOriginatorAeTitle, moveOriginatorMessageId, priority } of peer.commands) {
      assert.deepEqual([moveOriginatorAeTitle, moveOriginatorMessageId, priority], ["WS", 1, 0]);
    }
    const [association] = peer.associations;
    assert.equal(association?.request.callingAeTitle, "NOCTIS");
    assert.equal(association.request.calledAeTitle, "ARCHIVE2");
    assert.ok(pending.length > 0);
    for (const { numberOfRemainingSuboperations: left = 0, numberOfCompletedSuboperations: done = 0 } of pending) {
      assert.equal(left + done, 5);
    }
    assert.equal(peer.associations.length, 1);
  });

  it("refuses a destination that is no peer, and finds nothing where nothing is", async (t) => {
    const { final } = await retrieve(server, { keys: studyKeys, destination: "NOBODY" });
    assert.equal(final.status, 0xa801);
    assert.match(final.errorComment ?? "", /NOBODY/);
    const peer = await scriptedPeer(t, () => 0);
    await peerAt(t, "EMPTY", peer.port);
    const none = await retrieve(server, {
      keys: { "00080052": "STUDY", "0020000D": newUid() },
      destination: "EMPTY",
    });
    assert.deepEqual(counts(none.final), [0, 0, 0, 0]);
    assert.equal(peer.associations.length, 0);
  });

  it("fails every instance, and names the reason, when the peer is not there", async (t) => {
    await peerAt(t, "GONE", await freePort());
    const { final, failed } = await retrieve(server, { keys: studyKeys, destination: "GONE" });
    assert.deepEqual(counts(final), [0xa702, 0, 5, 0]);
    assert.match(final.errorComment ?? "", /cannot be reached/);
    assert.deepEqual(failed.map(String).sort(), uids.toSorted());
  });

  it("fails the rest, and nothing hangs, when the peer dies in the middle", async (t) => {
    let count = 0;
    const peer = await scriptedPeer(t, async (_command, association) => {
      count += 1;
      if (count >= 3) await association.abort();
      return 0;
    });
    await peerAt(t, "MORTAL", peer.port);
    const { final, failed } = await retrieve(server, { keys: studyKeys, destination: "MORTAL" });
    assert.deepEqual(counts(final), [0xb000, 2, 3, 0]);
    assert.match(final.errorComment ?? "", /aborted/);
    assert.equal(failed.length, 3);
  });

  it("tells what the peer refuses and what it stores with a warning", async (t) => {
    const answers = new Map([
      [uids[1], 0xa700],
      [uids[3], 0xb000],
    ]);
    const peer = await scriptedPeer(t, ({ affectedSopInstanceUid }) => answers.get(affectedSopInstanceUid) ?? 0);
    await peerAt(t, "FULL", peer.port);
    const { final, failed } = await retrieve(server, { keys: studyKeys, destination: "FULL" });
    assert.deepEqual(counts(final), [0xb000, 3, 1, 1]);
    assert.deepEqual(failed, [uids[1]]);
  });

  it("ends when it is cancelled: what remains is not sent", async (t) => {
    const { promise: isCancelled, resolve } = Promise.withResolvers<void>();
    let count = 0;
    const peer = await scriptedPeer(t, async () => {
      count += 1;
      if (count === 2) await isCancelled;
      return 0;
    });
    await peerAt(t, "SLOW", peer.port);
    const { final } = await retrieve(server, {
      keys: studyKeys,
      destination: "SLOW",
      onResponse: async ({ status }, request) => {
        if (status !== 0xff00) return;
        await request.cancel();
        resolve();
      },
    });
    assert.deepEqual(counts(final), [0xfe00, 2, 0, 0]);
    assert.equal(final.numberOfRemainingSuboperations, 3);
    assert.equal(peer.commands.length, 2);
  });

  describe("to storescp of DCMTK", requirement("dcmtk"), () => {
    async function move(aeTitle: string, ...options: string[]): Promise<string> {
      const keys = ["-k", "0008,0052=STUDY", "-k", `0020,000d=${study}`];
      const args = ["-v", "-S", "-aem", aeTitle, ...options, ...keys, "127.0.0.1", String(server.dimsePort)];
      const env = { ...process.env, TCP_NODELAY: "1" };
      return await run("movescu", args, { env }).then(
        ({ stdout, stderr }) => `${stdout}${stderr}`,
        (error: unknown) => (error instanceof Error && "stderr" in error ? String(error.stderr) : String(error)),
      );
    }

    async function receiver(t: TestContext, aeTitle: string, ...options: string[]) {
      const scp = await startStorescp(options);
      t.after(() => scp.stop());
      await peerAt(t, aeTitle, scp.port);
      const names = () => readdir(scp.folder);
      return { names, file: (name: string) => readFile(path.join(scp.folder, name)) };
    }

    it("comes exactly as it is stored", async (t) => {
      const { names, file } = await receiver(t, "STORE", "+B");
      const output = await move("STORE");
      assert.match(output, /Received Final Move Response \(Success\)/, output);
      const got = await names();
      assert.equal(got.length, 5);
      for (const name of got) {
        const index = uids.findIndex((uid) => name.endsWith(uid));
        const stored = files[index]?.bytes ?? Buffer.alloc(0);
        assert.ok((await dataSetOf(await file(name))).equals(await dataSetOf(stored)), name);
      }
    });

    it("comes in implicit VR to one that takes nothing else", async (t) => {
      const { names, file } = await receiver(t, "IMPLICIT", "+xi", "+B");
      const output = await move("IMPLICIT");
      assert.match(output, /\(Success\)/, output);
      const got = await names();
      assert.equal(got.length, 5);
      for (const name of got) {
        const index = uids.findIndex((uid) => name.endsWith(uid));
        const { blobs, place } = await heldObject(files[index]?.bytes ?? Buffer.alloc(0), explicitLittle);
        const wanted = await joined(dataSetBytes(blobs, place, implicitLittle));
        assert.ok((await dataSetOf(await file(name))).equals(wanted), name);
      }
    });

    it("fails whole where the association is refused", async (t) => {
      await receiver(t, "REFUSES", "--refuse");
      const output = await move("REFUSES");
      assert.match(output, /OutOfResourcesSubOperations/i, output);
    });

    it("fails where the peer aborts during a message, or behind it", async (t) => {
      for (const how of ["--abort-during", "--abort-after"]) {
        await receiver(t, "ABORTS", how);
        assert.match(await move("ABORTS"), /OutOfResourcesSubOperations/i);
      }
    });
  });
});
