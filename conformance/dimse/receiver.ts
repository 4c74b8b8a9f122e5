/** A storage SCP of checks: takes whatever it is sent in the transfer syntax that is proposed first, and keeps the bytes. */
import { once } from "node:events";
import net from "node:net";
import { Connection, nextMessage } from "./association.ts";
import { type Command, field, noDataSet, response, writeCommand } from "./command.ts";
import { acceptOf, dataPdus, pdu, pduType, readRequest } from "./pdu.ts";

/** One instance as it came. */
export interface ReceivedInstance {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly dataSet: Buffer;
  /** The command set that it came with. */
  readonly command: Command;
}

export interface Receiver {
  readonly port: number;
  /** What came since the last call. */
  take(): ReceivedInstance[];
  stop(): Promise<void>;
}

/** Starts it on a free port of 127.0.0.1. */
export async function startReceiver(): Promise<Receiver> {
  const received: ReceivedInstance[] = [];
  const connections = new Set<Connection>();
  const server = net.createServer((socket) => {
    const connection = new Connection(socket);
    connections.add(connection);
    void serve(connection, received)
      .catch(() => undefined)
      .then(() => connection.close());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  return {
    port: typeof address === "object" ? (address?.port ?? 0) : 0,
    take: () => received.splice(0),
    stop: async () => {
      for (const connection of connections) connection.close();
      server.close();
      await once(server, "close");
    },
  };
}

/** The response to a C-STORE request. */
export function storeResponse(command: Command, status = 0): Command {
  return {
    [field.command]: Number(command[field.command]) | response,
    [field.respondedTo]: command[field.messageId] ?? 0,
    [field.affectedSopClass]: command[field.affectedSopClass] ?? "",
    [field.affectedSopInstance]: command[field.affectedSopInstance] ?? "",
    [field.status]: status,
    [field.dataSetType]: noDataSet,
  };
}

async function serve(connection: Connection, received: ReceivedInstance[]): Promise<void> {
  const first = await connection.next();
  if (first?.type !== pduType.associateRequest) return;
  const { contexts, maximumLength } = readRequest(first.body);
  const syntaxes = new Map(contexts.map(({ id, transferSyntaxes: [syntax = ""] }) => [id, syntax]));
  await connection.write(acceptOf(first.body));
  for (;;) {
    const state = { isRelease: false };
    const message = await nextMessage(
      connection,
      (other) => (state.isRelease = other?.type === pduType.releaseRequest),
    );
    if (!message) {
      if (state.isRelease) await connection.write(pdu(pduType.releaseResponse, Buffer.alloc(4)));
      return;
    }
    const { command, contextId, dataSet = Buffer.alloc(0) } = message;
    received.push({
      sopClassUid: String(command[field.affectedSopClass]),
      sopInstanceUid: String(command[field.affectedSopInstance]),
      transferSyntaxUid: syntaxes.get(contextId) ?? "",
      dataSet,
      command,
    });
    const answer = writeCommand(storeResponse(command));
    for (const one of dataPdus(contextId, true, answer, maximumLength || 16_384)) await connection.write(one);
  }
}
