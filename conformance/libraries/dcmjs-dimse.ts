/** dcmjs-dimse as SCU and as SCP. */
import { createRequire } from "node:module";
import path from "node:path";
import { listOf } from "../api.ts";
import { withFiles } from "../dcmtk.ts";
import { expect, expectEqual, expectStatus } from "../expect.ts";
import type { Instance } from "../instances.ts";
import { freePort } from "../listening.ts";
import { destination, makeKnown, peerJob } from "../peers.ts";
import { pathsOf, type Session } from "../session.ts";
import { type Library, type LibraryCheck, patience } from "./check.ts";

type Elements = Readonly<Record<string, unknown>>;

interface Dataset {
  getElements(): Elements;
}

interface Response {
  getStatus(): number;
  getDataset(): Dataset | undefined;
  setStatus(status: number): void;
  setDataset(dataset: Dataset): void;
}

interface Request {
  on(event: "response", listener: (response: Response) => void): void;
  getDataset(): Dataset;
}

interface PresentationContext {
  getTransferSyntaxUids(): string[];
  setResult(result: number, transferSyntaxUid?: string): void;
}

interface Association {
  getPresentationContexts(): readonly { readonly id: number; readonly context: unknown }[];
  getPresentationContext(id: number): PresentationContext;
}

interface Client {
  on(event: "networkError", listener: (error: Error) => void): void;
  on(event: "closed", listener: () => void): void;
  on(event: "cStoreRequest", listener: (request: Request, callback: (response: Response) => void) => void): void;
  addRequest(request: Request): void;
  send(host: string, port: number, callingAeTitle: string, calledAeTitle: string): void;
}

interface Scp {
  sendAssociationAccept(): void;
  sendAssociationReleaseResponse(): void;
}

interface Server {
  on(event: "networkError", listener: (error: Error) => void): void;
  listen(port: number): void;
  close(): void;
}

/** What is used of it. */
interface DcmjsDimse {
  readonly Client: new () => Client;
  readonly Server: new (scp: unknown) => Server;
  readonly Scp: new (...args: readonly unknown[]) => Scp;
  readonly Dataset: new (elements: Elements) => Dataset;
  readonly log: { setLevel(level: string): void };
  readonly requests: {
    readonly CEchoRequest: new () => Request;
    readonly CStoreRequest: new (file: string) => Request;
    readonly CFindRequest: { createStudyFindRequest(elements: Elements): Request };
    readonly CMoveRequest: { createStudyMoveRequest(destination: string, studyInstanceUid: string): Request };
    readonly CGetRequest: { createStudyGetRequest(studyInstanceUid: string): Request };
  };
  readonly responses: Readonly<
    Record<"CEchoResponse" | "CStoreResponse" | "CFindResponse", { fromRequest(request: Request): Response }>
  >;
}

const name = "dcmjs-dimse";
const pending = 0xff00;

/** The library, when it is installed. */
export const dcmjsDimse: Library = {
  name,
  load: () => {
    let library: DcmjsDimse;
    try {
      library = createRequire(import.meta.url)(name);
    } catch {
      return undefined;
    }
    library.log.setLevel("error");
    return checksOf(library);
  },
};

/** Sends one request; its responses, and what came by C-STORE on the same association. */
function send(library: DcmjsDimse, { dimse: { aeTitle, host, port } }: Session, request: Request) {
  const responses: Response[] = [];
  const received: Dataset[] = [];
  const client = new library.Client();
  request.on("response", (response) => void responses.push(response));
  client.on("cStoreRequest", (stored, callback) => {
    received.push(stored.getDataset());
    const response = library.responses.CStoreResponse.fromRequest(stored);
    response.setStatus(0);
    callback(response);
  });
  client.addRequest(request);
  const ended = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("It did not come to an end.")), patience);
    client.on("networkError", reject);
    client.on("closed", () => {
      clearTimeout(timer);
      resolve();
    });
  });
  client.send(host, port, "DCMJS", aeTitle);
  return ended.then(() => ({ responses, received, status: responses.at(-1)?.getStatus() }));
}

/** An SCP of the library on a port of its own, which the server under test knows. */
function scpOf(library: DcmjsDimse, session: Session) {
  return session.shared(name, async () => {
    const stored: Elements[] = [];
    const port = await freePort();
    const server = new library.Server(scpClass(library, stored));
    server.on("networkError", () => undefined);
    server.listen(port);
    session.atEnd(async () => server.close());
    const aeTitle = `CFJ${session.run.token}`;
    await makeKnown(session, aeTitle, port);
    return { aeTitle, stored };
  });
}

function scpClass({ Scp, responses, Dataset }: DcmjsDimse, stored: Elements[]) {
  return class extends Scp {
    associationRequested(association: Association): void {
      for (const { id } of association.getPresentationContexts()) {
        const context = association.getPresentationContext(id);
        context.setResult(0, context.getTransferSyntaxUids()[0]);
      }
      this.sendAssociationAccept();
    }

    associationReleaseRequested(): void {
      this.sendAssociationReleaseResponse();
    }

    cEchoRequest(request: Request, callback: (response: Response) => void): void {
      callback(succeeded(responses.CEchoResponse.fromRequest(request)));
    }

    cStoreRequest(request: Request, callback: (response: Response) => void): void {
      stored.push(request.getDataset().getElements());
      callback(succeeded(responses.CStoreResponse.fromRequest(request)));
    }

    cFindRequest(request: Request, callback: (answers: readonly Response[]) => void): void {
      const { StudyInstanceUID } = request.getDataset().getElements();
      const match = responses.CFindResponse.fromRequest(request);
      match.setStatus(pending);
      match.setDataset(new Dataset({ StudyInstanceUID, PatientID: "FOUND", QueryRetrieveLevel: "STUDY" }));
      callback([match, succeeded(responses.CFindResponse.fromRequest(request))]);
    }
  };
}

function succeeded(response: Response): Response {
  response.setStatus(0);
  return response;
}

function sopInstanceUidsOf(dataSets: readonly Elements[]): string[] {
  return dataSets.map(({ SOPInstanceUID: uid }) => String(uid)).toSorted();
}

function studyOf({ fixtures }: Session): string[] {
  return [...fixtures.ct, fixtures.mr].map(({ sopInstanceUid }) => sopInstanceUid).toSorted();
}

function check(what: string, run: LibraryCheck["run"]): LibraryCheck {
  return { library: name, what, run };
}

function checksOf(library: DcmjsDimse): readonly LibraryCheck[] {
  const { requests } = library;
  return [
    check("verifies the connection", async (session) => {
      const { status } = await send(library, session, new requests.CEchoRequest());
      expectEqual(status, 0, "The status of C-ECHO");
    }),
    check("stores", async (session) => {
      const instance: Instance = session.run.scratch("dcmjs stores");
      session.removeLater(pathsOf(instance).study);
      const { status } = await withFiles({ "one.dcm": instance.file }, (folder) =>
        send(library, session, new requests.CStoreRequest(path.join(folder, "one.dcm"))),
      );
      expectEqual(status, 0, "The status of C-STORE");
      expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 200);
    }),
    check("finds", async (session) => {
      const { studyInstanceUid } = session.fixtures.mr;
      const keys = { StudyInstanceUID: studyInstanceUid, PatientID: "" };
      const { status, responses } = await send(library, session, requests.CFindRequest.createStudyFindRequest(keys));
      expectEqual(status, 0, "The status of C-FIND");
      const ids = responses.flatMap((response) => response.getDataset()?.getElements()["PatientID"] ?? []);
      expectEqual(ids, [session.run.patientId("A")], "The Patient ID that is found");
    }),
    check("retrieves by C-GET", async (session) => {
      const { studyInstanceUid } = session.fixtures.mr;
      const { status, received } = await send(
        library,
        session,
        requests.CGetRequest.createStudyGetRequest(studyInstanceUid),
      );
      expectEqual(status, 0, "The status of C-GET");
      expectEqual(sopInstanceUidsOf(received.map((one) => one.getElements())), studyOf(session), "What came");
    }),
    check("retrieves by C-MOVE", async (session) => {
      const { aeTitle, receiver } = await destination(session);
      receiver.take();
      const { studyInstanceUid } = session.fixtures.mr;
      const request = requests.CMoveRequest.createStudyMoveRequest(aeTitle, studyInstanceUid);
      const { status } = await send(library, session, request);
      expectEqual(status, 0, "The status of C-MOVE");
      const received = receiver.take().map(({ sopInstanceUid }) => sopInstanceUid);
      expectEqual(received.toSorted(), studyOf(session), "What came");
    }),
    check("is verified", async (session) => {
      const { aeTitle } = await scpOf(library, session);
      await peerJob(session, aeTitle, "echo");
    }),
    check("is sent a study", async (session) => {
      const { aeTitle, stored } = await scpOf(library, session);
      const { mr } = session.fixtures;
      await peerJob(session, aeTitle, "send", { resources: [pathsOf(mr).study.slice(1)] });
      expectEqual(sopInstanceUidsOf(stored), studyOf(session), "What it has got");
    }),
    check("is queried", async (session) => {
      const { aeTitle } = await scpOf(library, session);
      const keys = { StudyInstanceUID: session.fixtures.mr.studyInstanceUid, PatientID: "" };
      const job = await peerJob(session, aeTitle, "query", { level: "study", keys });
      const answers = listOf(Object(job["result"]).answers);
      expect(JSON.stringify(answers).includes("FOUND"), "The answer is not that of the library.");
    }),
  ];
}
