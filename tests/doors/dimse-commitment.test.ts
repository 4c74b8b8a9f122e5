/** Storage Commitment Push Model (PS3.4 J) as SCP: what is asked, and how the outcome is told. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { newUid } from "../../server/dicom/uid.ts";
import type { DicomJson } from "../../server/dicom/json.ts";
import type { Association, IncomingRequest, Service } from "../../server/dimse/association.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import { decodeIdentifier, encodeIdentifier, gatherIdentifier } from "../../server/dimse/identifier.ts";
import { createCatalog } from "../../storage/catalog.ts";
import { startAcceptingPeer } from "../support/accepting-peer.ts";
import { type InstanceFile, instanceFile } from "../support/instances.ts";
import { startOrthanc } from "../support/orthanc.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const sopClassUid = "1.2.840.10008.1.20.1";
const sopInstanceUid = "1.2.840.10008.1.20.1.1";
const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const ctImage = "1.2.840.10008.5.1.4.1.1.2";

/** Longest Event Information that the tests read, in bytes. */
const longest = 2 ** 24;

interface Report {
  readonly command: Command;
  readonly information: DicomJson;
  readonly association: Association;
}

/** What a requestor does with reports: it confirms them, unless `status` says otherwise, and gives them to the test. */
function reportTaker(status = () => 0) {
  const reports: Report[] = [];
  const waiting: (() => void)[] = [];
  const take: Service = async (request: IncomingRequest) => {
    const bytes = request.dataSet ? await gatherIdentifier(request.dataSet, longest) : Buffer.alloc(0);
    const information = decodeIdentifier(bytes, request.context.transferSyntaxUid, longest);
    await request.respond({ status: status() });
    reports.push({ command: request.command, information, association: request.association });
    for (const wake of waiting.splice(0)) wake();
  };
  return {
    services: new Map([[commandFields.nEventReportRequest, take]]),
    reports,
    /** The report with that number, as soon as it is there. */
    report: async (number: number): Promise<Report> => {
      for (;;) {
        const found = reports[number];
        if (found) return found;
        await new Promise<void>((resolve) => waiting.push(resolve));
      }
    },
  };
}

const uid = (value: string) => ({ vr: "UI", Value: [value] });
const reference = (instance: string, sopClass = secondaryCapture) => ({
  "00081150": uid(sopClass),
  "00081155": uid(instance),
});
const failure = (reason: number) => ({ "00081197": { vr: "US", Value: [reason] } });
const sequence = (...items: DicomJson[]) => ({ vr: "SQ", Value: items });

describe("storage commitment by DIMSE", () => {
  let server: TestServer;
  let first: InstanceFile;
  let second: InstanceFile;

  before(async () => {
    server = await startTestServer();
    first = instanceFile();
    second = instanceFile({ StudyInstanceUID: first.studyInstanceUid });
    for (const { bytes } of [first, second]) {
      const headers = { "Content-Type": "application/dicom" };
      const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: bytes });
      assert.equal(response.status, 200);
    }
  });
  after(() => server.stop());

  function open(callingAeTitle: string, services: ReadonlyMap<number, Service> = new Map(), port = server.dimsePort) {
    const peer = { aeTitle: "NOCTIS", host: "127.0.0.1", port };
    const contexts = [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: ["1.2.840.10008.1.2"] }];
    return connect(peer, { callingAeTitle, contexts, services });
  }

  /** Status and comment of the response to N-ACTION. */
  async function ask(association: Association, information: DicomJson | undefined, fields: Partial<Command> = {}) {
    const [context] = association.contexts.values();
    assert.ok(context);
    const command = {
      commandField: commandFields.nActionRequest,
      requestedSopClassUid: sopClassUid,
      requestedSopInstanceUid: sopInstanceUid,
      actionTypeId: 1,
      ...fields,
    };
    const dataSet = information && encodeIdentifier(information, context.transferSyntaxUid);
    for await (const { command: response } of association.invoke({ context, command, dataSet })) return response;
    return assert.fail("there was no response");
  }

  function requestOf(transactionUid: string, ...items: DicomJson[]): DicomJson {
    return { "00081195": uid(transactionUid), "00081199": sequence(...items) };
  }

  async function addPeer(aeTitle: string, port: number) {
    const body = JSON.stringify({ kind: "dimse", name: aeTitle, aeTitle, host: "127.0.0.1", port });
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(`${server.url}/api/peers`, { method: "POST", headers, body });
    assert.equal(response.status, 201, await response.text());
  }

  const owed = () => server.knex("commitment_report").orderBy("created_at");

  /** Waits until nothing is owed for a transaction. */
  async function settled(transactionUid: string): Promise<void> {
    while ((await server.knex("commitment_report").where({ transaction_uid: transactionUid })).length > 0)
      await sleep(20);
  }

  it("tells what is kept and what is not, on the association on which it was asked", async () => {
    const taker = reportTaker();
    const association = await open("SCU", taker.services);
    const [transactionUid, absent] = [newUid(), newUid()];
    const asked = [reference(first.sopInstanceUid), reference(second.sopInstanceUid, ctImage), reference(absent)];
    const response = await ask(association, requestOf(transactionUid, ...asked));
    assert.equal(response.status, 0, response.errorComment);
    assert.equal(response.affectedSopClassUid, sopClassUid);
    assert.equal(response.affectedSopInstanceUid, sopInstanceUid);

    const { command, information, association: on } = await taker.report(0);
    assert.equal(on, association);
    assert.equal(command.eventTypeId, 2);
    assert.equal(command.affectedSopClassUid, sopClassUid);
    assert.equal(command.affectedSopInstanceUid, sopInstanceUid);
    assert.deepEqual(information, {
      "00080054": { vr: "AE", Value: ["NOCTIS"] },
      "00081195": uid(transactionUid),
      "00081198": sequence(
        { ...reference(second.sopInstanceUid, ctImage), ...failure(0x0119) },
        { ...reference(absent), ...failure(0x0112) },
      ),
      "00081199": sequence(reference(first.sopInstanceUid)),
    });
    await settled(transactionUid);

    const wholly = newUid();
    const all = requestOf(wholly, reference(first.sopInstanceUid), reference(second.sopInstanceUid));
    assert.equal((await ask(association, all)).status, 0);
    const success = await taker.report(1);
    assert.equal(success.command.eventTypeId, 1);
    assert.deepEqual(success.information["00081199"], all["00081199"]);
    assert.equal("00081198" in success.information, false);
    const byHttp = await fetch(`${server.url}/dicom-web/commitment-requests/${wholly}`);
    assert.equal(byHttp.status, 200);
    await association.release();
  });

  it("commits to what one association asked for in many requests, each told once", async () => {
    const taker = reportTaker();
    const association = await open("SCU", taker.services);
    const transactions = Array.from({ length: 5 }, () => newUid());
    for (const one of transactions) {
      assert.equal((await ask(association, requestOf(one, reference(first.sopInstanceUid)))).status, 0);
    }
    await taker.report(transactions.length - 1);
    for (const one of transactions) await settled(one);
    const told = new Set(taker.reports.map(({ information }) => information["00081195"]?.Value?.[0]));
    assert.deepEqual(told, new Set(transactions));
    assert.equal(taker.reports.length, transactions.length);
    await association.release();
  });

  it("takes a request of a megabyte and more, as a large study makes", async () => {
    const taker = reportTaker();
    const association = await open("SCU", taker.services);
    const items = Array.from({ length: 15_000 }, () => reference(newUid()));
    const request = requestOf(newUid(), ...items);
    assert.ok(encodeIdentifier(request, "1.2.840.10008.1.2").length > 2 ** 20);
    assert.equal((await ask(association, request)).status, 0);
    const { information } = await taker.report(0);
    assert.equal(information["00081198"]?.Value?.length, items.length);
    await association.release();
  });

  it("refuses what is no request, with the status of PS3.7 10.1.4.1.10", async () => {
    const association = await open("SCU");
    const items = [reference(first.sopInstanceUid)];
    const statusOf = async (information: DicomJson | undefined, fields: Partial<Command> = {}) =>
      (await ask(association, information, fields)).status?.toString(16);
    assert.equal(await statusOf(requestOf(newUid(), ...items), { actionTypeId: 2 }), "123");
    assert.equal(await statusOf(requestOf(newUid(), ...items), { requestedSopInstanceUid: "1.2.3" }), "112");
    assert.equal(await statusOf(undefined), "115");
    assert.equal(await statusOf({ "00081199": sequence(...items) }), "115");
    assert.equal(await statusOf(requestOf("no uid", ...items)), "115");
    assert.equal(await statusOf({ "00081195": uid(newUid()) }), "115");
    assert.equal(await statusOf(requestOf(newUid())), "115");
    assert.equal(await statusOf(requestOf(newUid(), { "00081150": uid(ctImage) })), "115");
    assert.deepEqual(await owed(), []);

    const transactionUid = newUid();
    assert.equal(await statusOf(requestOf(transactionUid, ...items)), "0");
    assert.equal(await statusOf(requestOf(transactionUid, ...items)), "131");
    await association.release();
    await server.knex("commitment_report").where({ transaction_uid: transactionUid }).delete();
  });

  it("tells it on an association of its own when the requestor has left", async () => {
    const taker = reportTaker();
    const peer = await startAcceptingPeer(taker.services);
    await addPeer("LEAVES", peer.port);
    const association = await open("LEAVES");
    const transactionUid = newUid();
    assert.equal((await ask(association, requestOf(transactionUid, reference(first.sopInstanceUid)))).status, 0);
    await association.release();
    const { command, information, association: on } = await taker.report(0);
    assert.equal(command.eventTypeId, 1);
    assert.deepEqual(information["00081195"], uid(transactionUid));
    assert.equal(on.request.callingAeTitle, "NOCTIS");
    assert.equal(on.request.calledAeTitle, "LEAVES");
    assert.deepEqual(on.request.userInformation.roles, [{ sopClassUid, scuRole: false, scpRole: true }]);
    await settled(transactionUid);
    await peer.stop();
  });

  it("owes the report while the peer is away, also when the server is another one then", async () => {
    const settings = { ...server.shared };
    const other = await startTestServer(settings);
    const taker = reportTaker();
    const unused = await startAcceptingPeer(taker.services);
    await unused.stop();
    await addPeer("AWAY", unused.port);
    const association = await open("AWAY", new Map(), other.dimsePort);
    const transactionUid = newUid();
    assert.equal((await ask(association, requestOf(transactionUid, reference(first.sopInstanceUid)))).status, 0);
    await association.release();
    while ((await owed())[0]?.failures < 1) await sleep(20);
    const [row] = await owed();
    assert.match(row.fault, /cannot be reached/);
    await other.stop();

    const peer = await startAcceptingPeer(taker.services, unused.port);
    await server.knex("commitment_report").update({ next_attempt_at: server.knex.fn.now() });
    const { information } = await taker.report(0);
    assert.deepEqual(information["00081195"], uid(transactionUid));
    await settled(transactionUid);
    await peer.stop();
  });

  it("tells it again when the peer answers a failure", async () => {
    let status = 0x0110;
    const taker = reportTaker(() => status);
    const peer = await startAcceptingPeer(taker.services);
    await addPeer("FAILS", peer.port);
    const association = await open("FAILS");
    const transactionUid = newUid();
    assert.equal((await ask(association, requestOf(transactionUid, reference(first.sopInstanceUid)))).status, 0);
    await association.release();
    while ((await owed())[0]?.failures < 1) await sleep(20);
    assert.match((await owed())[0].fault, /N-EVENT-REPORT with 0110: processing failure/);
    status = 0;
    await server.knex("commitment_report").update({ next_attempt_at: server.knex.fn.now() });
    await settled(transactionUid);
    assert.ok(taker.reports.length >= 2);
    await peer.stop();
  });

  it("lets one process at a time tell a report, and gives it up after a week", async () => {
    const { commitments, commitmentReports: reports } = createCatalog(server.knex);
    const address = { requestingAeTitle: "NOBODY", requestedAeTitle: "NOCTIS" };
    const transactionUid = newUid();
    assert.equal(await reports.record(transactionUid, {}, address, 0), true);
    assert.equal(await reports.record(transactionUid, {}, address, 0), false);
    assert.deepEqual(await reports.dueTo(), [], "its outcome is not there yet");
    // Out of reach of the background work of the server.
    await server.knex("commitment_report").update({ next_attempt_at: "infinity" });
    await commitments.finish(transactionUid, { form: "instances", committed: [], failed: [] });
    const claims = await Promise.all(Array.from({ length: 8 }, () => reports.claim(transactionUid, 60)));
    assert.equal(claims.filter((claim) => claim !== undefined).length, 1);
    assert.equal(await reports.claim(transactionUid, 60), undefined);

    assert.deepEqual(await reports.giveUp(7 * 24 * 3600), []);
    await server.knex("commitment_report").update({ created_at: server.knex.raw("now() - interval '8 days'") });
    await settled(transactionUid);
    assert.ok(await commitments.find(transactionUid), "its outcome can be asked for by HTTP");
  });

  it("tells Orthanc, which leaves and listens elsewhere", requirement("orthanc"), async () => {
    const orthanc = await startOrthanc({ DicomModalities: { noctis: ["NOCTIS", "127.0.0.1", server.dimsePort] } });
    try {
      await addPeer("ORTHANC", orthanc.dicomPort);
      const absent = newUid();
      const outcomeOf = async (instance: string) => {
        const DicomInstances = [{ SOPClassUID: secondaryCapture, SOPInstanceUID: instance }];
        const body = JSON.stringify({ DicomInstances });
        const asked = await fetch(`${orthanc.url}/modalities/noctis/storage-commitment`, { method: "POST", body });
        const { Path: path } = await jsonOf(asked);
        for (;;) {
          const outcome = await jsonOf(await fetch(`${orthanc.url}${String(path)}`));
          if (outcome["Status"] !== "Pending") return outcome;
          await sleep(50);
        }
      };
      const success = await outcomeOf(first.sopInstanceUid);
      assert.equal(success["Status"], "Success", orthanc.output());
      assert.deepEqual(success["Success"], [{ SOPClassUID: secondaryCapture, SOPInstanceUID: first.sopInstanceUid }]);
      const refused = await outcomeOf(absent);
      assert.equal(refused["Status"], "Failure");
      assert.match(JSON.stringify(refused["Failures"]), /274|NoSuchObjectInstance/i);
      while ((await owed()).length > 0) await sleep(20);
    } finally {
      await orthanc.stop();
    }
  });
});

async function jsonOf(response: Response): Promise<Readonly<Record<string, unknown>>> {
  const text = await response.text();
  assert.equal(response.status, 200, text);
  const parsed: unknown = JSON.parse(text);
  return Object.fromEntries(Object.entries(Object(parsed)));
}
