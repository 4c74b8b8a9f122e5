/** A peer that says exactly the bytes it is told to, and a DIMSE door whose time limits and log a test can set. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { loadConfig } from "../../server/config.ts";
import type { Archive } from "../../server/archive/archive.ts";
import { type Command, encodeCommand } from "../../server/dimse/command.ts";
import { type AssociationTimeouts, connect as connectToPeer, defaultTimeouts } from "../../server/dimse/connect.ts";
import { implementation } from "../../server/dimse/implementation.ts";
import { createDimseDoor } from "../../server/dimse/listener.ts";
import {
  type AssociateAccept,
  type AssociateRequest,
  type ControlPdu,
  type DataFragment,
  dicomApplicationContext,
  type ProposedContext,
} from "../../server/dimse/pdu.ts";
import { PduReader } from "../../server/dimse/pdu-reader.ts";
import { dataTransferHeader, encodePdu } from "../../server/dimse/pdu-writer.ts";
import { createSendToPeer } from "../../server/dimse/send-to-peer.ts";
import { rights } from "../../server/dimse/sop-class-policy.ts";
import { createLog } from "../../server/log.ts";
import { openArchive } from "../../server/open-archive.ts";
import { testDatabase } from "./postgres.ts";

export const verificationSopClass = "1.2.840.10008.1.1";
export const secondaryCaptureSopClass = "1.2.840.10008.5.1.4.1.1.7";
const implicitLittle = "1.2.840.10008.1.2";
const explicitLittle = "1.2.840.10008.1.2.1";

/** What a scripted peer proposes: context 1 is Verification, 3 is Secondary Capture in explicit VR. */
const usualContexts: readonly ProposedContext[] = [
  { id: 1, abstractSyntaxUid: verificationSopClass, transferSyntaxUids: [implicitLittle] },
  { id: 3, abstractSyntaxUid: secondaryCaptureSopClass, transferSyntaxUids: [explicitLittle] },
];

/** An A-ASSOCIATE-RQ, with `changes`. */
export function associateRequest(changes: Partial<AssociateRequest> = {}): AssociateRequest {
  return {
    type: "A-ASSOCIATE-RQ",
    protocolVersion: 1,
    calledAeTitle: "NOCTIS",
    callingAeTitle: "RUDE",
    applicationContextName: dicomApplicationContext,
    presentationContexts: usualContexts,
    userInformation: {
      ...implementation,
      maximumLength: 16_384,
      roles: [],
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
    },
    ...changes,
  };
}

/** The A-ASSOCIATE-AC that accepts everything in its first transfer syntax. */
export function acceptEverything(request: AssociateRequest): AssociateAccept {
  return {
    ...request,
    type: "A-ASSOCIATE-AC",
    presentationContexts: request.presentationContexts.map(({ id, transferSyntaxUids }) => ({
      id,
      result: 0,
      transferSyntaxUid: transferSyntaxUids[0] ?? implicitLittle,
    })),
  };
}

/** One P-DATA-TF PDU that holds one fragment. */
export function dataPdu(
  contextId: number,
  kind: "command" | "data set",
  bytes: Buffer,
  { isLast = true, length = bytes.length }: { isLast?: boolean; length?: number } = {},
): Buffer {
  return Buffer.concat([dataTransferHeader({ contextId, isCommand: kind === "command", isLast, length }), bytes]);
}

/** A command set in one P-DATA-TF PDU. */
export function commandPdu(contextId: number, command: Command, hasDataSet = false): Buffer {
  return dataPdu(contextId, "command", encodeCommand(command, hasDataSet));
}

/** One side of a connection, by hand. */
export class ScriptedPeer {
  readonly socket: Socket;
  /** Everything that came, but pieces of PDVs put together and control PDUs as they are. */
  readonly #received: (ControlPdu | DataFragment)[] = [];
  readonly #reader = new PduReader({ maximumLength: 2 ** 24 });
  #hasClosed = false;
  #wake: () => void = () => undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#onData(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#hasClosed = true;
      this.#wake();
    });
  }

  send(...parts: readonly (Buffer | ControlPdu)[]): void {
    this.socket.write(Buffer.concat(parts.map((part) => (Buffer.isBuffer(part) ? part : encodePdu(part)))));
  }

  /** The next PDU, or piece of a P-DATA-TF; "closed" when there will be none. */
  async receive(): Promise<ControlPdu | DataFragment | "closed"> {
    for (;;) {
      const pdu = this.#received.shift();
      if (pdu) return pdu;
      if (this.#hasClosed) return "closed";
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  /** All that comes until the connection is closed. */
  async receiveAll(): Promise<(ControlPdu | DataFragment)[]> {
    const all: (ControlPdu | DataFragment)[] = [];
    for (let pdu = await this.receive(); pdu !== "closed"; pdu = await this.receive()) all.push(pdu);
    return all;
  }

  async associate(request = associateRequest()): Promise<AssociateAccept> {
    this.send(request);
    const accept = await this.receive();
    assert.ok(accept !== "closed" && accept.type === "A-ASSOCIATE-AC", JSON.stringify(accept));
    return accept;
  }

  #onData(chunk: Buffer): void {
    this.#reader.push(chunk);
    for (let pdu = this.#reader.next(); pdu; pdu = this.#reader.next()) {
      if (pdu.type.startsWith("A-ASSOCIATE")) this.#reader.isEstablished = true;
      this.#received.push(pdu);
    }
    this.#wake();
  }
}

/** Connects a scripted peer. */
export async function scriptedPeer(port: number): Promise<ScriptedPeer> {
  const socket = connect({ host: "127.0.0.1", port });
  await once(socket, "connect");
  return new ScriptedPeer(socket);
}

/** Listens with a script for each connection. */
export async function scriptedListener(script: (peer: ScriptedPeer) => Promise<void> | void) {
  const sockets = new Set<Socket>();
  const faults: unknown[] = [];
  const server = createServer((socket) => {
    sockets.add(socket);
    void Promise.resolve(script(new ScriptedPeer(socket))).catch((error: unknown) => faults.push(error));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return {
    port: address.port,
    /** Fails when a script has failed. */
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      assert.deepEqual(faults, []);
    },
  };
}

/** A line of the log. */
export type LogLine = Readonly<Record<string, unknown>> & {
  readonly level: "debug" | "info" | "warn";
  readonly message: string;
};

export interface TestDoor {
  readonly dimsePort: number;
  readonly archive: Archive;
  /** Lines so far. */
  readonly lines: readonly LogLine[];
  /** The first line that `matches`, as soon as it is there. */
  line(matches: (line: LogLine) => boolean): Promise<LogLine>;
  /** SOP Instance UIDs in the catalog, in order. */
  storedUids(): Promise<string[]>;
  /** Connections that are open. */
  connections(): number;
  /** Files in the object store, unfinished ones included. */
  objects(): Promise<string[]>;
  /** @param seconds that requests under way have to end */
  stop(seconds?: number): Promise<void>;
}

/** A DIMSE door over an archive of its own. */
export async function startTestDoor(
  options: { readonly timeouts?: Partial<AssociationTimeouts>; readonly maximumAssociations?: number } = {},
): Promise<TestDoor> {
  const database = await testDatabase();
  const folder = await mkdtemp(path.join(tmpdir(), "noctis-test-"));
  const config = loadConfig({ DATABASE_URL: database.url, DATA_DIR: folder });
  const lines: LogLine[] = [];
  let wake = () => {};
  const add = (level: LogLine["level"]) => (fields: Readonly<Record<string, unknown>>, message: string) => {
    lines.push({ ...fields, level, message });
    wake();
  };
  const log = { debug: add("debug"), info: add("info"), warn: add("warn") };
  const { archive, close } = await openArchive(config, {
    ...createLog("silent"),
    warn: (fields: object, message = "") => log.warn({ ...fields }, message),
  });
  const door = createDimseDoor({
    archive,
    log,
    aeTitle: "NOCTIS",
    admission: async () => ({ rights: new Set(rights) }),
    storesUnknown: true,
    connect: connectToPeer,
    sendToPeer: createSendToPeer({ connect: connectToPeer, aeTitle: "NOCTIS" }),
    maximumLength: 128 * 1024,
    maximumAssociations: options.maximumAssociations ?? 64,
    timeouts: { ...defaultTimeouts, ...options.timeouts },
    beginActivity: () => () => undefined,
  });
  return {
    dimsePort: await door.listen("127.0.0.1", 0),
    archive,
    lines,
    line: async (matches) => {
      for (;;) {
        const found = lines.find((line) => matches(line));
        if (found) return found;
        await new Promise<void>((resolve) => {
          const before = wake;
          wake = () => {
            before();
            resolve();
          };
        });
      }
    },
    storedUids: () => database.knex("instance").orderBy("sop_instance_uid").pluck("sop_instance_uid"),
    objects: async () => {
      const entries = await readdir(path.join(folder, "objects"), { recursive: true, withFileTypes: true });
      return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    },
    connections: () => door.connections,
    stop: async (seconds = 5) => {
      await door.stop(seconds);
      await close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
