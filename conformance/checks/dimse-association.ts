/** The upper layer (PS3.8), messages (PS3.7) and Verification (PS3.4 A), by DCMTK and byte by byte. */
import type { Checks } from "../check.ts";
import { dcmtk } from "../dcmtk.ts";
import { Association, Connection, propose } from "../dimse/association.ts";
import { field, request, response, writeCommand } from "../dimse/command.ts";
import { dataPdus, pdu, pduType, type Proposed } from "../dimse/pdu.ts";
import { expect, expectEqual } from "../expect.ts";
import { sopClass } from "../instances.ts";
import type { Session } from "../session.ts";
import { transferSyntax } from "../write-dicom.ts";

const verification = "1.2.840.10008.1.1";
const { implicitLittle, explicitLittle } = transferSyntax;

const echoContext: Proposed = { id: 1, abstractSyntax: verification, transferSyntaxes: [implicitLittle] };
const echo = { [field.command]: request.echo, [field.affectedSopClass]: verification };

/** Whether the server answers C-ECHO on an association of its own. */
async function expectAlive(session: Session): Promise<void> {
  const association = await Association.open(session.dimse, [echoContext]);
  expectEqual(await association.statusOf(echo), 0, "The status of C-ECHO");
  await association.release();
}

/** Expects A-ABORT or the end of the connection. */
async function expectEnd(connection: Connection, what: string): Promise<void> {
  const answer = await connection.next();
  connection.close();
  expect(answer === undefined || answer.type === pduType.abort, `${what} was answered by PDU type ${answer?.type}.`);
}

export const dimseAssociationChecks: Checks = {
  "dimse-echo": async (session) => {
    const { status, output } = await dcmtk("echoscu", session.dimse, ["-v", "--repeat", "3"]);
    expect(status === 0, `echoscu ended with ${status}: ${output.slice(-200)}`);
    expectEqual(output.match(/Received Echo Response \(Success\)/g)?.length, 3, "The number of responses");
  },
  "dimse-release": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    await association.release();
  },
  "dimse-contexts": async (session) => {
    const association = await Association.open(session.dimse, [
      // Basic Grayscale Print Management, which an archive has no use for.
      { id: 1, abstractSyntax: "1.2.840.10008.5.1.1.9", transferSyntaxes: [implicitLittle] },
      { id: 3, abstractSyntax: verification, transferSyntaxes: ["1.2.826.0.1.3680043.10.1.98"] },
      { id: 5, abstractSyntax: verification, transferSyntaxes: [implicitLittle] },
    ]);
    const results = [...association.accept.contexts].map(([id, { result }]) => [id, result]);
    expectEqual(
      results,
      [
        [1, 3],
        [3, 4],
        [5, 0],
      ],
      "The results by presentation context",
    );
    await association.release();
  },
  "dimse-context-order": async (session) => {
    const ids = [255, 3, 77, 1];
    const association = await Association.open(
      session.dimse,
      ids.map((id) => ({ ...echoContext, id })),
    );
    expectEqual(
      [...association.accept.contexts.keys()].toSorted((a, b) => a - b),
      [1, 3, 77, 255],
      "The ids",
    );
    expectEqual(await association.statusOf(echo, undefined, 77), 0, "The status of C-ECHO on context 77");
    await association.release();
  },
  "dimse-one-transfer-syntax": async (session) => {
    const { ct } = sopClass;
    const association = await Association.open(session.dimse, [
      { id: 1, abstractSyntax: ct, transferSyntaxes: [explicitLittle, implicitLittle] },
      { id: 3, abstractSyntax: ct, transferSyntaxes: [transferSyntax.jpegBaseline] },
    ]);
    const { contexts } = association.accept;
    const first = contexts.get(1)?.transferSyntax ?? "";
    expect(first === explicitLittle || first === implicitLittle, `Context 1 was accepted in ${first}.`);
    expectEqual(contexts.get(3)?.transferSyntax, transferSyntax.jpegBaseline, "The transfer syntax of context 3");
    await association.release();
  },
  "dimse-application-context": async (session) => {
    const { connection, answer } = await propose(session.dimse, [echoContext], { applicationContext: "1.2.3.4" });
    connection.close();
    expectEqual(answer?.type, pduType.associateReject, "The PDU type that answers another application context");
    expectEqual([...(answer?.body.subarray(1, 4) ?? [])], [1, 1, 2], "Result, source and reason");
  },
  "dimse-maximum-length": async (session) => {
    const association = await Association.open(session.dimse, [echoContext], { maximumLength: 64 });
    expectEqual(await association.statusOf(echo), 0, "The status of C-ECHO");
    const { connection } = association;
    expect(
      Math.max(...connection.dataLengths) <= 64,
      `A P-DATA-TF PDU has ${Math.max(...connection.dataLengths)} bytes.`,
    );
    expect(connection.dataLengths.length > 1, "The response did not need more than one PDU.");
    await association.release();
  },
  "dimse-fragments": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    const command = writeCommand({ ...echo, [field.messageId]: 9, [field.dataSetType]: 0x0101 });
    // One byte of the command set in each PDU.
    for (const one of dataPdus(1, true, command, 7)) await association.connection.write(one);
    const { command: answer } = await association.receive();
    expectEqual([answer[field.status], answer[field.respondedTo]], [0, 9], "Status and message id");
    await association.release();
  },
  "dimse-response-fields": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    await association.send({ ...echo, [field.messageId]: 4711 });
    const { command, contextId } = await association.receive();
    expectEqual(command[field.command], request.echo | response, "Command Field");
    expectEqual(command[field.respondedTo], 4711, "Message ID Being Responded To");
    expectEqual(command[field.affectedSopClass], verification, "Affected SOP Class UID");
    expectEqual(contextId, 1, "The presentation context of the response");
    await association.release();
  },
  "dimse-unknown-operation": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    // N-DELETE-RQ, which nothing here performs.
    const remove = { [field.command]: 0x0150, [field.requestedSopClass]: verification };
    expectEqual(await association.statusOf(remove), 0x0211, "The status of an operation that is not performed");
    expectEqual(await association.statusOf(echo), 0, "The status of C-ECHO afterwards");
    await association.release();
  },
  "dimse-roles": async (session) => {
    const { ct } = sopClass;
    const association = await Association.open(
      session.dimse,
      [{ id: 1, abstractSyntax: ct, transferSyntaxes: [explicitLittle] }],
      { roles: [{ sopClass: ct, scu: true, scp: true }] },
    );
    expectEqual(association.accept.roles, [{ sopClass: ct, scu: true, scp: true }], "The roles that are accepted");
    await association.release();
  },
  "dimse-unknown-pdu": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    await association.connection.write(pdu(0x2a, Buffer.alloc(4)));
    await expectEnd(association.connection, "A PDU of an unknown type");
    await expectAlive(session);
  },
  "dimse-data-without-association": async (session) => {
    const connection = await Connection.open(session.dimse);
    const command = writeCommand({ ...echo, [field.messageId]: 1, [field.dataSetType]: 0x0101 });
    for (const one of dataPdus(1, true, command, 16_384)) await connection.write(one);
    await expectEnd(connection, "A P-DATA-TF PDU without an association");
    await expectAlive(session);
  },
  "dimse-huge-pdu": async (session) => {
    const connection = await Connection.open(session.dimse);
    const head = Buffer.alloc(6);
    head.writeUInt8(pduType.associateRequest, 0);
    head.writeUInt32BE(0xffffffff, 2);
    await connection.write(head);
    await connection.write(Buffer.alloc(65_536));
    await expectEnd(connection, "An A-ASSOCIATE-RQ of 4 GB");
    await expectAlive(session);
  },
  "dimse-context-not-accepted": async (session) => {
    const association = await Association.open(session.dimse, [echoContext]);
    const command = writeCommand({ ...echo, [field.messageId]: 1, [field.dataSetType]: 0x0101 });
    for (const one of dataPdus(99, true, command, 16_384)) await association.connection.write(one);
    await expectEnd(association.connection, "A message on a presentation context that there is not");
    await expectAlive(session);
  },
  "dimse-shutdown-refused": async (session) => {
    // The private request of DCMTK that its own servers shut down for.
    await dcmtk("termscu", session.dimse, []);
    await expectAlive(session);
  },
};
