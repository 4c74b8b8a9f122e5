/** Storage (PS3.4 B) and Storage Commitment (PS3.4 J) by DIMSE. */
import path from "node:path";
import type { Checks } from "../check.ts";
import { dcmtk, withFiles } from "../dcmtk.ts";
import { Association, type Message } from "../dimse/association.ts";
import { type Command, field, request, response } from "../dimse/command.ts";
import { partsOf } from "../dimse/part10.ts";
import { expect, expectBytes, expectEqual, expectStatus, soleBody } from "../expect.ts";
import { type Instance, sopClass } from "../instances.ts";
import { media, pathsOf, type Session } from "../session.ts";
import { type DataSet, transferSyntax, writeIdentifier } from "../write-dicom.ts";

const commitment = { sopClass: "1.2.840.10008.1.20.1", sopInstance: "1.2.840.10008.1.20.1.1" } as const;

/** C-STORE of a data set as it is; the whole response. */
async function store(
  session: Session,
  { sopClassUid, sopInstanceUid, file }: Instance,
  fields: Command = {},
): Promise<Command> {
  const { transferSyntaxUid, dataSet } = partsOf(file);
  const contexts = [{ id: 1, abstractSyntax: sopClassUid, transferSyntaxes: [transferSyntaxUid] }];
  const association = await Association.open(session.dimse, contexts);
  const command = {
    [field.command]: request.store,
    [field.affectedSopClass]: sopClassUid,
    [field.affectedSopInstance]: sopInstanceUid,
    [field.priority]: 0,
    ...fields,
  };
  const [answer] = await association.exchange(command, dataSet);
  await association.release();
  return answer?.command ?? {};
}

/** Stores a new instance by C-STORE, and expects its data set back by WADO-RS as it was sent. */
async function expectStored(session: Session, name: string, dataSet: DataSet, syntax: string): Promise<void> {
  const instance = session.run.scratch(name, dataSet, syntax);
  session.removeLater(pathsOf(instance).study);
  const answer = await store(session, instance);
  expectEqual(answer[field.status], 0, `The status of C-STORE in ${syntax}`);
  await expectThere(session, instance);
}

async function expectThere(session: Session, instance: Instance): Promise<void> {
  const found = expectStatus(await session.get(pathsOf(instance).instance, media.single), 200);
  const parts = partsOf(soleBody(found));
  expectEqual(parts.transferSyntaxUid, instance.transferSyntaxUid, "The transfer syntax");
  expectBytes(parts.dataSet, partsOf(instance.file).dataSet, "The data set that was stored");
}

/** Sends files by storescu, each of which must be taken. */
async function storescu(session: Session, instances: readonly Instance[], option: string): Promise<void> {
  for (const instance of instances) session.removeLater(pathsOf(instance).study);
  const files = Object.fromEntries(instances.map(({ file }, index) => [`${index}.dcm`, file]));
  const { status, output } = await withFiles(files, (folder) =>
    dcmtk(
      "storescu",
      session.dimse,
      ["-v", option],
      Object.keys(files).map((name) => path.join(folder, name)),
    ),
  );
  expect(status === 0, `storescu ${option} ended with ${status}: ${output.slice(-200)}`);
  expectEqual(output.match(/Received Store Response \(Success\)/g)?.length, instances.length, "Successes");
}

/** Asks for commitment on an association; gives the status of the response, and the report that follows. */
async function commit(session: Session, name: string, references: readonly (readonly [string, string])[]) {
  const contexts = [{ id: 1, abstractSyntax: commitment.sopClass, transferSyntaxes: [transferSyntax.implicitLittle] }];
  const association = await Association.open(session.dimse, contexts);
  const information = writeIdentifier({
    TransactionUID: session.run.uid(name),
    ReferencedSOPSequence: references.map(([ReferencedSOPClassUID, ReferencedSOPInstanceUID]) => ({
      ReferencedSOPClassUID,
      ReferencedSOPInstanceUID,
    })),
  });
  const command = {
    [field.command]: request.action,
    [field.requestedSopClass]: commitment.sopClass,
    [field.requestedSopInstance]: commitment.sopInstance,
    [field.actionType]: 1,
  };
  const status = await association.statusOf(command, information);
  return { association, status, command, information };
}

/** The N-EVENT-REPORT that comes, confirmed. */
async function nextReport(association: Association): Promise<Message> {
  const report = await association.receive();
  const confirmation = {
    [field.command]: request.eventReport | response,
    [field.respondedTo]: report.command[field.messageId] ?? 0,
    [field.affectedSopClass]: commitment.sopClass,
    [field.affectedSopInstance]: commitment.sopInstance,
    [field.status]: 0,
  };
  expectEqual(report.command[field.command], request.eventReport, "The command of the report");
  await association.send(confirmation);
  return report;
}

export const dimseStoreChecks: Checks = {
  "dimse-store": (session) => expectStored(session, "dimse explicit", {}, transferSyntax.explicitLittle),
  "dimse-store-implicit": (session) => expectStored(session, "dimse implicit", {}, transferSyntax.implicitLittle),
  "dimse-store-big-endian": (session) => expectStored(session, "dimse big", {}, transferSyntax.explicitBig),
  "dimse-store-deflated": (session) => expectStored(session, "dimse deflated", {}, transferSyntax.deflated),
  "dimse-store-private-class": (session) =>
    expectStored(
      session,
      "dimse private",
      { SOPClassUID: "1.2.826.0.1.3680043.10.1.97" },
      transferSyntax.explicitLittle,
    ),
  "dimse-store-storescu": async (session) => {
    const instances = ["one", "two", "three"].map((name) => session.run.scratch(`storescu ${name}`));
    await storescu(session, instances, "-xe");
    for (const instance of instances) await expectThere(session, instance);
  },
  "dimse-store-storescu-compressed": async (session) => {
    const { photo, lossless } = session.fixtures;
    const again = ({ dataSet, transferSyntaxUid }: Instance, name: string) => {
      const { StudyInstanceUID: _study, SeriesInstanceUID: _series, SOPInstanceUID: _instance, ...rest } = dataSet;
      return session.run.scratch(name, { ...rest, ...session.run.scratchAttributes(name) }, transferSyntaxUid);
    };
    const [jpeg, rle] = [again(photo, "storescu jpeg"), again(lossless, "storescu rle")];
    await storescu(session, [jpeg], "-xy");
    await storescu(session, [rle], "-xr");
    for (const instance of [jpeg, rle]) await expectThere(session, instance);
  },
  "dimse-store-again": async (session) => {
    const instance = session.run.scratch("dimse again");
    session.removeLater(pathsOf(instance).study);
    expectEqual((await store(session, instance))[field.status], 0, "The status of C-STORE");
    expectEqual((await store(session, instance))[field.status], 0, "The status of the same instance again");
  },
  "dimse-store-response": async (session) => {
    const instance = session.run.scratch("dimse response");
    session.removeLater(pathsOf(instance).study);
    const answer = await store(session, instance, { [field.messageId]: 77 });
    expectEqual(answer[field.respondedTo], 77, "Message ID Being Responded To");
    expectEqual(answer[field.affectedSopClass], instance.sopClassUid, "Affected SOP Class UID");
    expectEqual(answer[field.affectedSopInstance], instance.sopInstanceUid, "Affected SOP Instance UID");
  },
  "dimse-store-mismatch": async (session) => {
    const instance = session.run.scratch("dimse mismatch");
    const other = session.run.uid("dimse mismatch other");
    const answer = await store(session, instance, { [field.affectedSopInstance]: other });
    expectEqual(Number(answer[field.status]) & 0xff00, 0xa900, "The status of a data set of another SOP instance");
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 404);
  },
  "dimse-store-not-understood": async (session) => {
    const instance = session.run.scratch("dimse cut");
    const { file } = instance;
    const answer = await store(session, { ...instance, file: file.subarray(0, file.length - 5) });
    const status = Number(answer[field.status]);
    expect(status >> 12 === 0xc || status >> 8 === 0xa9, `A data set that ends early got ${status.toString(16)}H.`);
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 404);
  },
  "dimse-store-abort": async (session) => {
    const instance = session.run.scratch("dimse abort");
    const { transferSyntaxUid } = partsOf(instance.file);
    const context = { id: 1, abstractSyntax: instance.sopClassUid, transferSyntaxes: [transferSyntaxUid] };
    const association = await Association.open(session.dimse, [context]);
    const { connection } = association;
    await association.send({
      [field.command]: request.store,
      [field.affectedSopClass]: instance.sopClassUid,
      [field.affectedSopInstance]: instance.sopInstanceUid,
      [field.priority]: 0,
      // The data set that is promised does not come.
      [field.dataSetType]: 0,
    });
    connection.close();
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 404);
  },
  "dimse-commitment": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const { association, status } = await commit(session, "dimse commitment", [[mr.sopClassUid, mr.sopInstanceUid]]);
    expectEqual(status, 0, "The status of N-ACTION");
    const report = await nextReport(association);
    expectEqual(report.command[field.eventType], 1, "Event Type ID");
    expect(report.dataSet?.includes(mr.sopInstanceUid) === true, "The report does not name the instance.");
    expect(report.dataSet.includes(session.run.uid("dimse commitment")), "The report has another Transaction UID.");
    await association.release();
  },
  "dimse-commitment-failures": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const never = session.run.uid("never stored");
    const { association, status } = await commit(session, "dimse commitment some", [
      [mr.sopClassUid, mr.sopInstanceUid],
      [sopClass.mr, never],
    ]);
    expectEqual(status, 0, "The status of N-ACTION");
    const report = await nextReport(association);
    expectEqual(report.command[field.eventType], 2, "Event Type ID");
    // Failure Reason (0008,1197), No such object instance.
    const reason = Buffer.from([0x08, 0, 0x97, 0x11, 2, 0, 0, 0, 0x12, 0x01]);
    expect(report.dataSet?.includes(reason) === true, "The report has no Failure Reason 0112H.");
    await association.release();
  },
  "dimse-commitment-no-such-action": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const asked = await commit(session, "dimse commitment action", [[mr.sopClassUid, mr.sopInstanceUid]]);
    await nextReport(asked.association);
    const other = { ...asked.command, [field.actionType]: 9 };
    expectEqual(await asked.association.statusOf(other, asked.information), 0x0123, "The status of action 9");
    await asked.association.release();
  },
};
