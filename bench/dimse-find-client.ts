/** The client of bench/dimse-find.ts, a process of its own: C-FIND after C-FIND on one association, over a plain socket. */
import { once } from "node:events";
import { connect } from "node:net";
import type { DicomJson } from "../server/dicom/json.ts";
import { commandFields, decodeCommand, encodeCommand } from "../server/dimse/command.ts";
import { encodeIdentifier } from "../server/dimse/identifier.ts";
import { dicomApplicationContext } from "../server/dimse/pdu.ts";
import { PduReader } from "../server/dimse/pdu-reader.ts";
import { dataTransferHeader, encodePdu } from "../server/dimse/pdu-writer.ts";

const [port = "", called = "", studies = "", requests = "", keys = ""] = process.argv.slice(2);
const studyRoot = "1.2.840.10008.5.1.4.1.2.2.1";
const implicit = "1.2.840.10008.1.2";

const socket = connect(Number(port), "127.0.0.1");
socket.setNoDelay(true);
await once(socket, "connect");
const reader = new PduReader({ maximumLength: 2 ** 20 });
let wake: () => void = () => undefined;
socket.on("data", (chunk) => {
  reader.push(chunk);
  wake();
});

socket.write(
  encodePdu({
    type: "A-ASSOCIATE-RQ",
    protocolVersion: 1,
    calledAeTitle: called,
    callingAeTitle: "BENCH",
    applicationContextName: dicomApplicationContext,
    presentationContexts: [{ id: 1, abstractSyntaxUid: studyRoot, transferSyntaxUids: [implicit] }],
    userInformation: {
      maximumLength: 2 ** 17,
      implementationClassUid: "1.2.3",
      roles: [],
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
    },
  }),
);
const accept = await nextPdu();
if (accept.type !== "A-ASSOCIATE-AC") throw new Error(`the server answers ${accept.type}`);

reader.isEstablished = true;

await askAll(Math.min(500, Number(requests)));
const cpu = process.cpuUsage();
const began = performance.now();
const matches = await askAll(Number(requests));
const seconds = (performance.now() - began) / 1000;
const { user, system } = process.cpuUsage(cpu);
process.send?.({ seconds, matches, cpuSeconds: (user + system) / 1e6 });
socket.destroy();
process.disconnect();

async function askAll(count: number): Promise<number> {
  let found = 0;
  for (let index = 0; index < count; index += 1) found += await ask(1 + ((index * 7919) % Number(studies)), index);
  return found;
}

/** Asks for the study of one accession number; gives the number of matches. */
async function ask(number: number, index: number): Promise<number> {
  const wanted = Object.fromEntries(
    keys.split(",").map((key): [string, DicomJson[string]] => {
      const [tag = "", vr = ""] = key.split(":");
      return [tag, { vr }];
    }),
  );
  const identifier = {
    ...wanted,
    "00080050": { vr: "SH", Value: [`ACC${number}`] },
    "00080052": { vr: "CS", Value: ["STUDY"] },
  };
  const command = {
    commandField: commandFields.cFindRequest,
    messageId: (index % 0xffff) + 1,
    affectedSopClassUid: studyRoot,
    priority: 0,
  };
  socket.write(
    Buffer.concat([
      ...fragment(true, encodeCommand(command, true)),
      ...fragment(false, encodeIdentifier(identifier, implicit)),
    ]),
  );
  let found = 0;
  let parts: Buffer[] = [];
  for (;;) {
    const pdu = await nextPdu();
    if (pdu.type !== "P-DATA-TF") throw new Error(`the server answers ${pdu.type}`);
    if (!pdu.isCommand) continue;
    parts.push(pdu.bytes);
    if (!pdu.isLast) continue;
    const { status = 0 } = decodeCommand(Buffer.concat(parts));
    parts = [];
    if (status === 0) return found;
    if (status !== 0xff00) throw new Error(`the server answers ${status.toString(16)}`);
    found += 1;
  }
}

function fragment(isCommand: boolean, bytes: Buffer): Buffer[] {
  return [dataTransferHeader({ contextId: 1, isCommand, isLast: true, length: bytes.length }), bytes];
}

async function nextPdu() {
  for (;;) {
    const pdu = reader.next();
    if (pdu) return pdu;
    await new Promise<void>((resolve) => void (wake = resolve));
  }
}
