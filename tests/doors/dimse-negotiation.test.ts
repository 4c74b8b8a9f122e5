/** Associations over real sockets: what is agreed, who is let in, and how the others are told. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { connect, type ConnectOptions } from "../../server/dimse/connect.ts";
import { extendedNegotiationOf } from "../../server/dimse/extended-negotiation.ts";
import { dicomApplicationContext, type UserIdentity } from "../../server/dimse/pdu.ts";
import { encodePdu } from "../../server/dimse/pdu-writer.ts";
import { serviceSopClasses } from "../../server/dimse/sop-class-policy.ts";
import { nonPatientSopClasses, storageSopClasses } from "../../server/dimse/storage-sop-classes.ts";
import { userLine } from "../../server/dimse/user-identity.ts";
import { syntaxUid } from "../support/dicom-writer.ts";
import { sendInstance } from "../support/dimse-store.ts";
import { instanceFile } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const verification = "1.2.840.10008.1.1";
const ct = "1.2.840.10008.5.1.4.1.1.2";
const { explicitLittle, implicitLittle } = syntaxUid;
const echo = [{ abstractSyntaxUid: verification, transferSyntaxUids: [implicitLittle] }];

/** Opens an association with a server, as CT1 with a context of Verification unless told otherwise. */
function associate(server: TestServer, aeTitle = "NOCTIS", options: Partial<ConnectOptions> = {}) {
  const peer = { aeTitle, host: "127.0.0.1", port: server.dimsePort };
  return connect(peer, { callingAeTitle: "CT1", contexts: echo, ...options });
}

/** Result, source and reason of an A-ASSOCIATE-RJ, by the bytes. */
async function rejectionBytes(
  server: TestServer,
  changed: { protocolVersion?: number; applicationContextName?: string },
) {
  const socket = openSocket(server.dimsePort, "127.0.0.1");
  socket.write(
    encodePdu({
      type: "A-ASSOCIATE-RQ",
      protocolVersion: 1,
      calledAeTitle: "NOCTIS",
      callingAeTitle: "CT1",
      applicationContextName: dicomApplicationContext,
      presentationContexts: echo.map((context) => ({ id: 1, ...context })),
      userInformation: {
        maximumLength: 0,
        implementationClassUid: "1.2.3",
        roles: [],
        extendedNegotiations: [],
        commonExtendedNegotiations: [],
      },
      ...changed,
    }),
  );
  const chunks: Buffer[] = [];
  socket.on("data", (chunk: Buffer) => chunks.push(chunk));
  await once(socket, "end");
  socket.destroy();
  return Buffer.concat(chunks).toString("hex");
}

describe("associations", () => {
  let open: TestServer;
  let closed: TestServer;
  let folder: string;
  let usersFile: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-users-"));
    usersFile = path.join(folder, "users");
    await writeFile(usersFile, `${await userLine("Ann", "secret")}\n`);
    open = await startTestServer({ MAX_ASSOCIATIONS: "2" });
    closed = await startTestServer({
      DIMSE_CALLED_AE_TITLES: "ARCHIVE",
      DIMSE_ACCEPT: "CT1@127.0.0.1=store,WS*@peers=query,CT2@192.0.2.0/24,AUDIT=echo",
      DIMSE_PEERS: "WS1@127.0.0.1:11112,WS2@192.0.2.7:11112",
      DIMSE_USERS_FILE: usersFile,
      DIMSE_MAX_PDU: "65536",
      DIMSE_STORE_UNKNOWN: "false",
    });
  });
  after(async () => {
    await open.stop();
    await closed.stop();
    await rm(folder, { recursive: true });
  });

  it("agree on contexts, roles, extended negotiation, the window and lengths", async () => {
    const association = await associate(open, "NOCTIS", {
      contexts: [
        { abstractSyntaxUid: ct, transferSyntaxUids: [syntaxUid.jpegBaseline, explicitLittle] },
        { abstractSyntaxUid: "1.2.840.10008.5.1.4.31", transferSyntaxUids: [implicitLittle] },
        ...echo,
      ],
      roles: [{ sopClassUid: ct, scuRole: true, scpRole: true }],
      extendedNegotiations: [{ sopClassUid: ct, serviceClassApplicationInformation: Buffer.from([2, 0, 0, 0, 0, 0]) }],
      operationsWindow: { maximumInvoked: 0, maximumPerformed: 3 },
    });
    const contexts = [...association.contexts.values()].map((one) => [one.id, one.transferSyntaxUid, one.mayPerform]);
    assert.deepEqual(contexts, [
      [1, syntaxUid.jpegBaseline, true],
      [5, implicitLittle, false],
    ]);
    const { userInformation } = association.accept;
    assert.equal(association.maximumInvoked, 16);
    assert.equal(userInformation.operationsWindow?.maximumPerformed, 3);
    assert.equal(userInformation.maximumLength, 131_072);
    assert.deepEqual(
      userInformation.extendedNegotiations[0]?.serviceClassApplicationInformation,
      Buffer.from([2, 0, 3, 0, 0, 0]),
    );
    assert.equal(extendedNegotiationOf(association, "find", ct).size, 0);
    await association.release();
  });

  it("have a context for every SOP class of the conformance statement", async () => {
    const uids = [...serviceSopClasses.keys(), ...storageSopClasses.keys(), ...nonPatientSopClasses.keys()];
    const accepted: string[] = [];
    for (const some of [uids.slice(0, 128), uids.slice(128)]) {
      const contexts = some.map((abstractSyntaxUid) => ({ abstractSyntaxUid, transferSyntaxUids: [explicitLittle] }));
      const association = await associate(open, "NOCTIS", { contexts });
      accepted.push(...[...association.contexts.values()].map((context) => context.abstractSyntaxUid));
      await association.release();
    }
    assert.deepEqual(accepted, uids);
  });

  it("are there even when nothing on them is accepted", async () => {
    const contexts = [{ abstractSyntaxUid: "1.2.840.10008.5.1.4.31", transferSyntaxUids: [implicitLittle] }];
    const association = await associate(open, "NOCTIS", { contexts });
    assert.equal(association.contexts.size, 0);
    await association.release();
  });

  it("are rejected for the right reason", async () => {
    const rejected = (aeTitle: string, callingAeTitle: string, reason: RegExp) =>
      assert.rejects(associate(closed, aeTitle, { callingAeTitle }), reason);
    await rejected("OTHER", "CT1", /for good: the called AE title is not recognized/);
    await rejected("NOCTIS", "CT2", /for good: the calling AE title is not recognized/);
    await rejected("NOCTIS", "WS2", /for good: the calling AE title is not recognized/);
    await rejected("NOCTIS", "WS3", /for good: the calling AE title is not recognized/);
    for (const [aeTitle, callingAeTitle] of [
      ["NOCTIS", "CT1"],
      ["ARCHIVE", "WS1"],
      ["NOCTIS", "AUDIT"],
    ] as const) {
      await (await associate(closed, aeTitle, { callingAeTitle })).release();
    }
    assert.equal(await rejectionBytes(open, { protocolVersion: 2 }), "03000000000400010202");
    assert.equal(await rejectionBytes(open, { applicationContextName: "1.2.3" }), "03000000000400010102");
  });

  it("have the contexts that the rule allows", async () => {
    const contexts = [ct, "1.2.826.0.1.3680043.2.1", verification].map((abstractSyntaxUid) => ({
      abstractSyntaxUid,
      transferSyntaxUids: [explicitLittle, implicitLittle],
    }));
    const resultsOf = async (callingAeTitle: string) => {
      const association = await associate(closed, "NOCTIS", { callingAeTitle, contexts });
      await association.release();
      return association.accept.presentationContexts.map(({ result }) => result);
    };
    assert.deepEqual(await resultsOf("CT1"), [0, 3, 0]);
    assert.deepEqual(await resultsOf("WS1"), [1, 3, 0]);
    assert.deepEqual(await resultsOf("AUDIT"), [1, 3, 0]);
  });

  it("have operations performed in contexts of their own SOP classes alone", async () => {
    const contexts = [{ abstractSyntaxUid: verification, transferSyntaxUids: [explicitLittle] }];
    const association = await associate(closed, "NOCTIS", { callingAeTitle: "AUDIT", contexts });
    const [context] = association.contexts.values();
    assert.ok(context);
    const { bytes, sopInstanceUid } = instanceFile({ SOPClassUID: ct });
    // Behind preamble, prefix and file meta information, which begins with its length.
    const dataSet = bytes.subarray(144 + bytes.readUInt32LE(140));
    const response = await sendInstance({ association, context }, { sopClassUid: ct, sopInstanceUid, dataSet });
    assert.equal(response.status, 0x0122);
    assert.deepEqual(await closed.knex("instance").pluck("sop_instance_uid"), []);
    await association.release();
  });

  it("are told to come again when there are too many, and come then", async () => {
    const both = await Promise.all([associate(open), associate(open)]);
    await assert.rejects(associate(open), /for the moment: its local limit is exceeded/);
    await both[0].release();
    await (await associate(open)).release();
    await both[1].release();
  });

  it("are for users of the file when they name one, and follow the file", async () => {
    const as = (type: number, name: string, passcode: string): { userIdentity: UserIdentity } => ({
      userIdentity: {
        type,
        positiveResponseRequested: true,
        primaryField: Buffer.from(name),
        secondaryField: Buffer.from(passcode),
      },
    });
    const ann = await associate(closed, "NOCTIS", as(2, "Ann", "secret"));
    assert.deepEqual(ann.accept.userInformation.userIdentityResponse, Buffer.alloc(0));
    assert.equal(ann.accept.userInformation.maximumLength, 65_536);
    await ann.release();
    await assert.rejects(associate(closed, "NOCTIS", as(2, "Ann", "wrong")), /for good: no reason given/);
    await assert.rejects(associate(closed, "NOCTIS", as(1, "Bob", "")), /for good: no reason given/);
    await appendFile(usersFile, "Bob\n");
    await (await associate(closed, "NOCTIS", as(1, "Bob", ""))).release();
    await rm(usersFile);
    await assert.rejects(associate(closed, "NOCTIS", as(1, "Bob", "")), /for the moment: temporary congestion/);
    const nobody = await associate(open, "NOCTIS", as(2, "Ann", "wrong"));
    assert.equal(nobody.accept.userInformation.userIdentityResponse, undefined);
    await nobody.release();
  });

  it("are told to echoscu of DCMTK in its words", requirement("dcmtk"), async () => {
    const arguments_ = ["-aet", "CT9", "-aec", "NOCTIS", "127.0.0.1", String(closed.dimsePort)];
    await assert.rejects(run("echoscu", arguments_), /Calling AE Title Not Recognized/);
  });

  it("need a file of users that can be read, and says so at the start", async () => {
    await assert.rejects(
      startTestServer({ DIMSE_USERS_FILE: path.join(folder, "none") }),
      /DIMSE_USERS_FILE cannot be used/,
    );
    const file = path.join(folder, "bad");
    await writeFile(file, "Ann:secret\n");
    await assert.rejects(startTestServer({ DIMSE_USERS_FILE: file }), /line 1 is not that of a user/);
  });
});
