/** dicom-dimse-native, DCMTK behind Node, as SCU and as storage SCP. */
import { mkdir, readdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import path from "node:path";
import { eventually } from "../api.ts";
import { withFiles } from "../dcmtk.ts";
import { expect, expectEqual, expectStatus } from "../expect.ts";
import { freePort } from "../listening.ts";
import { destination, makeKnown, peerJob } from "../peers.ts";
import { pathsOf, type Session } from "../session.ts";
import { type Library, type LibraryCheck, patience } from "./check.ts";

interface Node {
  readonly aet: string;
  readonly ip: string;
  readonly port: number;
}

interface Options {
  readonly source: Node;
  readonly target?: Node;
  readonly peers?: readonly Node[];
  readonly tags?: readonly { readonly key: string; readonly value: string }[];
  readonly sourcePath?: string;
  readonly storagePath?: string;
  readonly destination?: string;
  readonly storeOnly?: boolean;
  readonly permissive?: boolean;
}

type Call = (options: Options, callback: (result: string) => void) => void;

/** What is used of it. */
type DicomDimseNative = Readonly<
  Record<"echoScu" | "storeScu" | "findScu" | "getScu" | "moveScu" | "startStoreScp" | "shutdownScu", Call>
>;

const name = "dicom-dimse-native";

/** The library, when it is installed: it is built from source, which may fail. */
export const dicomDimseNative: Library = {
  name,
  load: () => {
    let library: DicomDimseNative;
    try {
      library = createRequire(import.meta.url)(name);
    } catch {
      return undefined;
    }
    return checksOf(library);
  },
};

/** Calls it; its last word, which is the outcome of all. */
async function call(session: Session, work: Call, options: Omit<Options, "source" | "target">): Promise<string> {
  const { aeTitle, host, port } = session.dimse;
  const target = { aet: aeTitle, ip: host, port };
  const source = { aet: "NATIVE", ip: "127.0.0.1", port: await freePort() };
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error("It did not answer.")), patience);
    work({ source, target, ...options }, (result) => {
      const { status } = Object(JSON.parse(result));
      if (status === "pending") return;
      clearTimeout(timer);
      resolve(result);
    });
  });
}

function expectSuccess(result: string): void {
  expect(/"status": ?"success"/.test(result), `It answers ${result.slice(0, 200)}.`);
}

/** Its storage SCP, which the server under test knows. */
function scpOf(library: DicomDimseNative, session: Session, folder: string) {
  return session.shared(name, async () => {
    const aeTitle = `CFN${session.run.token}`;
    const own = { aet: aeTitle, ip: "127.0.0.1", port: await freePort() };
    const options = { source: own, peers: [], storagePath: folder, storeOnly: true, permissive: true };
    library.startStoreScp(options, () => undefined);
    // It listens until it is told to shut down, and the process lasts as long.
    const end = () =>
      new Promise<void>((resolve) => library.shutdownScu({ source: own, target: own }, () => resolve()));
    session.atEnd(() => Promise.race([end(), sleep(5000)]));
    await makeKnown(session, aeTitle, own.port);
    // It does not say when it listens.
    await sleep(1000);
    return { aeTitle };
  });
}

const studyTags = ({ fixtures }: Session) => [
  { key: "00080052", value: "STUDY" },
  { key: "0020000D", value: fixtures.mr.studyInstanceUid },
];

function studyOf({ fixtures }: Session): string[] {
  return [...fixtures.ct, fixtures.mr].map(({ sopInstanceUid }) => sopInstanceUid).toSorted();
}

/** Names of the files in a folder and those below. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}

function check(what: string, run: LibraryCheck["run"]): LibraryCheck {
  return { library: name, what, run };
}

function checksOf(library: DicomDimseNative): readonly LibraryCheck[] {
  return [
    check("verifies the connection", async (session) => expectSuccess(await call(session, library.echoScu, {}))),
    check("stores", async (session) => {
      const instance = session.run.scratch("native stores");
      session.removeLater(pathsOf(instance).study);
      const result = await withFiles({ "one.dcm": instance.file }, (sourcePath) =>
        call(session, library.storeScu, { sourcePath }),
      );
      expectSuccess(result);
      expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 200);
    }),
    check("finds", async (session) => {
      const tags = [...studyTags(session), { key: "00100020", value: "" }];
      const result = await call(session, library.findScu, { tags });
      expectSuccess(result);
      expect(result.includes(session.run.patientId("A")), "The answer has no Patient ID.");
    }),
    check("retrieves by C-GET", async (session) => {
      await withFiles({}, async (folder) => {
        const storagePath = path.join(folder, "got");
        await mkdir(storagePath);
        // Its C-GET is of the Patient Root model.
        const tags = [...studyTags(session), { key: "00100020", value: session.run.patientId("A") }];
        expectSuccess(await call(session, library.getScu, { tags, storagePath }));
        expectEqual((await filesBelow(storagePath)).length, studyOf(session).length, "The number of files");
      });
    }),
    check("retrieves by C-MOVE", async (session) => {
      const { aeTitle, receiver } = await destination(session);
      receiver.take();
      // It reports every C-MOVE as a success: what counts is what came.
      await call(session, library.moveScu, { tags: studyTags(session), destination: aeTitle });
      const received = receiver.take().map(({ sopInstanceUid }) => sopInstanceUid);
      expectEqual(received.toSorted(), studyOf(session), "What came");
    }),
    check("is verified and sent a study", async (session) => {
      await withFiles({}, async (folder) => {
        const { aeTitle } = await scpOf(library, session, folder);
        await peerJob(session, aeTitle, "echo");
        const { mr } = session.fixtures;
        await peerJob(session, aeTitle, "send", { resources: [pathsOf(mr).study.slice(1)] });
        await eventually(10, "What it is to write", async () =>
          (await filesBelow(folder)).length >= studyOf(session).length ? true : undefined,
        );
      });
    }),
  ];
}
