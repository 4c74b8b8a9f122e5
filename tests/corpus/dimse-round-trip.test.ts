/** Every file of the corpus by DIMSE: sent by C-STORE, back by C-GET and C-MOVE with the same bytes of its data set. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { Association, type Message } from "../../conformance/dimse/association.ts";
import { type Command, field, request } from "../../conformance/dimse/command.ts";
import { partsOf } from "../../conformance/dimse/part10.ts";
import {
  type ReceivedInstance,
  type Receiver,
  startReceiver,
  storeResponse,
} from "../../conformance/dimse/receiver.ts";
import { startStorescp } from "../support/dcmtk.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { allFiles, type CorpusFile } from "./files.ts";
import { negotiationProfile } from "./negotiation-profile.ts";
import { identitiesOf, type Identity } from "./identities.ts";

const run = promisify(execFile);

const implicitLittle = "1.2.840.10008.1.2";
const studyRootMove = "1.2.840.10008.5.1.4.1.2.2.2";
const studyRootGet = "1.2.840.10008.5.1.4.1.2.2.3";

/** A file in the archive that took it. */
interface Stored extends Identity {
  readonly file: CorpusFile;
  readonly server: TestServer;
  readonly transferSyntaxUid: string;
  readonly dataSet: Buffer;
}

const noIdentity = "DCMTK does not find the UIDs of an instance in it";

/** AE title of the move destination. */
const destination = "RECEIVER";

describe("every file of the corpus by DIMSE", requirement("corpus", "dcmtk"), () => {
  const servers: TestServer[] = [];
  const stored: Stored[] = [];
  const refused = new Map<string, string>();
  let receiver: Receiver;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-corpus-"));
    receiver = await startReceiver();
    const files = await allFiles();
    const identities = await identitiesOf(files);
    for (const file of files) {
      const identity = identities.get(file.path);
      if (!identity) refused.set(file.name, noIdentity);
      else await storeSomewhere(file, identity);
    }
  });
  after(async () => {
    for (const server of servers) await server.stop();
    await receiver.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Sends it to the first archive that does not hold another instance of the same UIDs. */
  async function storeSomewhere(file: CorpusFile, identity: Identity): Promise<void> {
    const parts = partsOf(await readFile(file.path));
    for (let index = 0; ; index += 1) {
      const server = (servers[index] ??= await startServer());
      const { status, comment } = await sendTo(server, identity, parts);
      if (status === 0x0111) continue;
      if (status === 0 || status >> 12 === 0xb) stored.push({ file, server, ...identity, ...parts });
      else refused.set(file.name, `${status.toString(16)} ${comment}`);
      return;
    }
  }

  async function startServer(): Promise<TestServer> {
    return startTestServer({ DIMSE_PEERS: `${destination}@127.0.0.1:${receiver.port}` });
  }

  it("is stored, or refused with the reason", (t) => {
    t.diagnostic(`${stored.length} files stored, in ${servers.length} archives since some share their UIDs`);
    for (const [name, reason] of refused) t.diagnostic(`not stored: ${name}: ${reason}`);
    assert.ok(stored.length > 250);
    const unexplained = [...refused].filter(
      ([name, reason]) => reason !== noIdentity && !/^(malformed|nonpatient)\//.test(name),
    );
    assert.deepEqual(unexplained, []);
  });

  it("comes from storescu as storescp gets it", async (t) => {
    const faults: string[] = [];
    let compared = 0;
    for (const files of Map.groupBy(stored, ({ server }) => server).values()) {
      const profile = path.join(folder, "profile.cfg");
      await writeFile(profile, negotiationProfile(files));
      const scp = await startStorescp(["+B", "-xf", profile, "Profile"]);
      const server = await startTestServer();
      await sendByStoreScu(folder, files, scp.port);
      await sendByStoreScu(folder, files, server.dimsePort);
      // Their names are like CT.1.2.3.
      const names = new Map((await readdir(scp.folder)).map((name) => [name.replace(/^[^.]*\./, ""), name]));
      for (const { file, ...uids } of files) {
        const name = names.get(uids.sopInstanceUid);
        if (name === undefined) {
          t.diagnostic(`storescu cannot send ${file.name}`);
          continue;
        }
        compared += 1;
        const place = `studies/${uids.studyInstanceUid}/series/${uids.seriesInstanceUid}/instances/${uids.sopInstanceUid}`;
        const headers = { Accept: "application/dicom; transfer-syntax=*" };
        const response = await fetch(`${server.url}/dicom-web/${place}`, { headers });
        const bytes = Buffer.from(await response.arrayBuffer());
        const reference = await readFile(path.join(scp.folder, name));
        if (response.status !== 200) faults.push(`${file.name}: is not there`);
        else if (!partsOf(bytes).dataSet.equals(partsOf(reference).dataSet)) faults.push(`${file.name}: other bytes`);
      }
      await server.stop();
      await scp.stop();
    }
    t.diagnostic(`${compared} files compared`);
    assert.deepEqual(faults, []);
    assert.ok(compared > 250);
  });

  it("comes back by C-GET with the same bytes", async () => {
    const faults: string[] = [];
    for (const one of stored) faults.push(...differences(one, await getBack(one)));
    assert.deepEqual(faults, []);
  });

  it("comes back by C-MOVE with the same bytes", async () => {
    const faults: string[] = [];
    for (const one of stored) {
      await moveBack(one);
      faults.push(...differences(one, receiver.take()));
    }
    assert.deepEqual(faults, []);
  });
});

/** Sends files by storescu, each in the transfer syntax that it has. Some it cannot send, which is not its test. */
async function sendByStoreScu(folder: string, files: readonly Stored[], port: number): Promise<void> {
  for (const some of Map.groupBy(files, ({ transferSyntaxUid }) => transferSyntaxUid).values()) {
    const config = path.join(folder, "syntax.cfg");
    await writeFile(config, negotiationProfile(some));
    const args = [
      "-q",
      "-nh",
      "-xf",
      config,
      "Profile",
      "127.0.0.1",
      String(port),
      ...some.map(({ file }) => file.path),
    ];
    const options = { env: { ...process.env, TCP_NODELAY: "1" } };
    await run("storescu", args, options).catch(() => undefined);
  }
}

function differences({ file, sopInstanceUid, ...sent }: Stored, received: readonly ReceivedInstance[]): string[] {
  const [back, ...more] = received;
  if (!back || more.length > 0) return [`${file.name}: ${received.length} instances came`];
  const found: string[] = [];
  if (back.sopInstanceUid !== sopInstanceUid) found.push("the SOP Instance UID");
  if (back.sopClassUid !== sent.sopClassUid) found.push("the SOP Class UID");
  if (back.transferSyntaxUid !== sent.transferSyntaxUid) found.push(`the transfer syntax (${back.transferSyntaxUid})`);
  if (!back.dataSet.equals(sent.dataSet)) found.push(`the data set (${back.dataSet.length}, ${sent.dataSet.length})`);
  return found.map((what) => `${file.name}: ${what}`);
}

function targetOf({ dimsePort: port }: TestServer) {
  return { aeTitle: "NOCTIS", host: "127.0.0.1", port };
}

/** Sends a data set as it is, in its own transfer syntax. */
async function sendTo(
  server: TestServer,
  { sopClassUid, sopInstanceUid }: Identity,
  { transferSyntaxUid, dataSet }: { readonly transferSyntaxUid: string; readonly dataSet: Buffer },
): Promise<{ readonly status: number; readonly comment: string }> {
  const context = { id: 1, abstractSyntax: sopClassUid, transferSyntaxes: [transferSyntaxUid] };
  const association = await Association.open(targetOf(server), [context]);
  const result = association.accept.contexts.get(1)?.result;
  if (result !== 0) {
    await association.release();
    return { status: -1, comment: `the presentation context got result ${result}` };
  }
  const command = {
    [field.command]: request.store,
    [field.affectedSopClass]: sopClassUid,
    [field.affectedSopInstance]: sopInstanceUid,
    [field.priority]: 0,
  };
  const [response] = await association.exchange(command, dataSet);
  await association.release();
  return {
    status: Number(response?.command[field.status]),
    comment: String(response?.command[field.errorComment] ?? ""),
  };
}

/** The Identifier of one instance (PS3.4 C.4.2.1.4), in implicit VR little endian. */
function identifierOf({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Identity): Buffer {
  return Buffer.concat([
    element(0x0008, 0x0018, sopInstanceUid, "\0"),
    element(0x0008, 0x0052, "IMAGE", " "),
    element(0x0020, 0x000d, studyInstanceUid, "\0"),
    element(0x0020, 0x000e, seriesInstanceUid, "\0"),
  ]);
}

function element(group: number, number: number, text: string, padding: string): Buffer {
  const value = Buffer.from(text.length % 2 === 0 ? text : text + padding, "latin1");
  const head = Buffer.alloc(8);
  head.writeUInt16LE(group, 0);
  head.writeUInt16LE(number, 2);
  head.writeUInt32LE(value.length, 4);
  return Buffer.concat([head, value]);
}

/** C-GET of one instance, with a context for what it is stored in; what came. */
async function getBack(one: Stored): Promise<ReceivedInstance[]> {
  const { sopClassUid, transferSyntaxUid } = one;
  const contexts = [
    { id: 1, abstractSyntax: studyRootGet, transferSyntaxes: [implicitLittle] },
    { id: 3, abstractSyntax: sopClassUid, transferSyntaxes: [transferSyntaxUid] },
  ];
  const roles = [{ sopClass: sopClassUid, scu: false, scp: true }];
  const association = await Association.open(targetOf(one.server), contexts, { roles });
  const command = { [field.command]: request.get, [field.affectedSopClass]: studyRootGet, [field.priority]: 0 };
  await association.send(command, identifierOf(one), 1);
  const received: ReceivedInstance[] = [];
  for (;;) {
    const message = await association.receive();
    if (message.command[field.command] !== request.store) {
      if (Number(message.command[field.status]) === 0xff00) continue;
      assert.equal(outcomeOf(message.command), "0: 1 completed", one.file.name);
      await association.release();
      return received;
    }
    received.push(instanceOf(message, transferSyntaxUid));
    await association.send(storeResponse(message.command), undefined, message.contextId);
  }
}

function instanceOf({ command, dataSet = Buffer.alloc(0) }: Message, transferSyntaxUid: string): ReceivedInstance {
  return {
    sopClassUid: String(command[field.affectedSopClass]),
    sopInstanceUid: String(command[field.affectedSopInstance]),
    transferSyntaxUid,
    dataSet,
    command,
  };
}

/** C-MOVE of one instance to the receiver. */
async function moveBack(one: Stored): Promise<void> {
  const context = { id: 1, abstractSyntax: studyRootMove, transferSyntaxes: [implicitLittle] };
  const association = await Association.open(targetOf(one.server), [context]);
  const command = {
    [field.command]: request.move,
    [field.affectedSopClass]: studyRootMove,
    [field.priority]: 0,
    [field.moveDestination]: destination,
  };
  const responses = await association.exchange(command, identifierOf(one));
  await association.release();
  assert.equal(outcomeOf(responses.at(-1)?.command ?? {}), "0: 1 completed", one.file.name);
}

function outcomeOf(command: Command): string {
  const status = Number(command[field.status]).toString(16);
  return `${status}: ${command[field.completed]} completed${command[field.failed] ? `, ${command[field.failed]} failed` : ""}`;
}
