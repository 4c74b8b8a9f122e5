/** Asks for instances by C-GET and C-MOVE in tests, over associations of our own, and keeps what comes back. */
import { decodeIdentifier, encodeIdentifier } from "../../server/dimse/identifier.ts";
import type { AcceptedContext, Association, Service } from "../../server/dimse/association.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import type { DicomJson } from "../../server/dicom/json.ts";
import { Part10Scan } from "../../server/dicom/part10.ts";
import type { TestServer } from "./server.ts";

/** SOP classes of the information models (PS3.4 C.6). */
export const models = {
  patientRoot: { move: "1.2.840.10008.5.1.4.1.2.1.2", get: "1.2.840.10008.5.1.4.1.2.1.3" },
  studyRoot: { move: "1.2.840.10008.5.1.4.1.2.2.2", get: "1.2.840.10008.5.1.4.1.2.2.3" },
  patientStudyOnly: { move: "1.2.840.10008.5.1.4.1.2.3.2", get: "1.2.840.10008.5.1.4.1.2.3.3" },
} as const;

const verification = "1.2.840.10008.1.1";

/** Keys of an identifier by tag: one value, or a list. */
export type Keys = Readonly<Record<string, string | readonly string[]>>;

export interface Cancelling {
  /** Cancels the request; resolves when the server has read that. */
  readonly cancel: () => Promise<void>;
}

export interface RetrieveRequest {
  readonly model?: keyof typeof models;
  readonly keys: Keys;
  readonly relational?: boolean;
  /** AE title of the destination: a C-MOVE; without it a C-GET. */
  readonly destination?: string;
  /** What the requestor of a C-GET takes: SOP class and transfer syntaxes of a context. */
  readonly takes?: readonly (readonly [sopClassUid: string, ...transferSyntaxUids: string[]])[];
  /** The status of each instance that comes; by default success. */
  readonly onStore?: (command: Command, get: Cancelling) => number | Promise<number>;
  /** Called with each response. */
  readonly onResponse?: (command: Command, request: Cancelling) => Promise<void>;
}

export interface Retrieved {
  /** Every response but the last. */
  readonly pending: readonly Command[];
  readonly final: Command;
  /** Failed SOP Instance UID List (0008,0058). */
  readonly failed: readonly unknown[];
  /** By C-GET: the data sets by SOP Instance UID, and what they came in. */
  readonly stored: ReadonlyMap<string, { readonly dataSet: Buffer; readonly transferSyntaxUid: string }>;
}

/** The data set of a file, byte for byte. */
export async function dataSetOf(file: Buffer): Promise<Buffer> {
  const scan = new Part10Scan();
  await scan.push(file);
  return file.subarray((await scan.end()).dataSetOffset);
}

/** Asks, and waits for the last response. */
export async function retrieve(server: Pick<TestServer, "dimsePort">, request: RetrieveRequest): Promise<Retrieved> {
  const { model = "studyRoot", keys, relational = false, destination, takes = [], onResponse } = request;
  const sopClassUid = models[model][destination === undefined ? "get" : "move"];
  const stored = new Map<string, { readonly dataSet: Buffer; readonly transferSyntaxUid: string }>();
  const running: { cancel?: () => Promise<void> } = {};
  const cancel = async () => running.cancel?.();
  const store: Service = async ({ command, context, dataSet, respond }) => {
    const chunks: Buffer[] = [];
    if (dataSet) for await (const chunk of dataSet) chunks.push(chunk);
    const status = (await request.onStore?.(command, { cancel })) ?? 0;
    const { transferSyntaxUid } = context;
    stored.set(command.affectedSopInstanceUid ?? "", { dataSet: Buffer.concat(chunks), transferSyntaxUid });
    await respond({ status });
  };
  const association = await connect(
    { aeTitle: "NOCTIS", host: "127.0.0.1", port: server.dimsePort },
    {
      callingAeTitle: "WS",
      contexts: [
        { abstractSyntaxUid: sopClassUid, transferSyntaxUids: ["1.2.840.10008.1.2.1"] },
        { abstractSyntaxUid: verification, transferSyntaxUids: ["1.2.840.10008.1.2"] },
        ...takes.map(([abstractSyntaxUid, ...transferSyntaxUids]) => ({ abstractSyntaxUid, transferSyntaxUids })),
      ],
      roles: takes.map(([uid]) => ({ sopClassUid: uid, scuRole: false, scpRole: true })),
      extendedNegotiations: relational ? [{ sopClassUid, serviceClassApplicationInformation: Buffer.from([1]) }] : [],
      services: new Map([[commandFields.cStoreRequest, store]]),
    },
  );
  try {
    const context = contextOf(association, sopClassUid);
    const messageId = association.nextMessageId();
    running.cancel = async () => {
      await association.cancel(context, messageId);
      // What comes behind it on the same connection is read behind it.
      const echo = { commandField: commandFields.cEchoRequest, affectedSopClassUid: verification };
      for await (const _ of association.invoke({ context: contextOf(association, verification), command: echo }));
    };
    const command = {
      commandField: destination === undefined ? commandFields.cGetRequest : commandFields.cMoveRequest,
      messageId,
      affectedSopClassUid: sopClassUid,
      priority: 0,
      moveDestination: destination,
    };
    const dataSet = encodeIdentifier(identifierOf(keys), context.transferSyntaxUid);
    const responses: Command[] = [];
    let failed: readonly unknown[] = [];
    for await (const response of association.invoke({ context, command, dataSet })) {
      responses.push(response.command);
      const chunks: Buffer[] = [];
      if (response.dataSet) for await (const chunk of response.dataSet) chunks.push(chunk);
      const list = decodeIdentifier(Buffer.concat(chunks), context.transferSyntaxUid)["00080058"];
      failed = list?.Value ?? failed;
      await onResponse?.(response.command, { cancel });
    }
    const final = responses.pop();
    if (!final) throw new Error("there was no response");
    return { pending: responses, final, failed, stored };
  } finally {
    await association.release();
  }
}

function contextOf(association: Association, sopClassUid: string): AcceptedContext {
  const found = [...association.contexts.values()].find((context) => context.abstractSyntaxUid === sopClassUid);
  if (!found) throw new Error(`${sopClassUid} was not accepted`);
  return found;
}

function identifierOf(keys: Keys): DicomJson {
  const vrs: Readonly<Record<string, string>> = { "00080052": "CS", "00100020": "LO", "00100021": "LO" };
  const attributes = Object.entries(keys).map(([tag, value]) => [
    tag,
    { vr: vrs[tag] ?? "UI", Value: typeof value === "string" ? [value] : [...value] },
  ]);
  return Object.fromEntries(attributes);
}
