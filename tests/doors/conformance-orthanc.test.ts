/** The conformance suite against a server that is not ours: it is no mirror of Noctis, and finds faults that are there. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { closeConnections } from "../../conformance/http.ts";
import { readMatrix } from "../../conformance/matrix.ts";
import { Session } from "../../conformance/session.ts";
import { runLines } from "../../conformance/suite.ts";
import { pathOf, requirement } from "../support/require.ts";

/** What any DICOMweb server does. */
const basics = [
  "store-multipart",
  "store-bit-exact",
  "match-study-PatientID",
  "match-series-Modality",
  "uid-list-comma",
  "search-study-series",
  "limit",
  "retrieve-study",
  "retrieve-series",
  "metadata-study",
  "frame-native-of-several",
  "json-pn-groups",
  "client-search-studies",
  "client-retrieve-instance",
];

/** Faults of Orthanc 1.10 with its plugin 1.7: one broken part fails the whole request, what is no date is taken for one. */
const faults = ["store-partial-202", "bad-date", "retrieve-not-acceptable", "sequence-dotted-keywords"];

describe("the conformance suite against Orthanc", requirement("orthanc", "orthancDicomWeb"), () => {
  let folder: string;
  let orthanc: ChildProcess;
  let origin: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-orthanc-"));
    const port = await freePort();
    origin = `http://127.0.0.1:${port}`;
    const config = path.join(folder, "orthanc.json");
    await writeFile(
      config,
      JSON.stringify({
        StorageDirectory: folder,
        IndexDirectory: folder,
        HttpPort: port,
        DicomServerEnabled: false,
        RemoteAccessAllowed: false,
        AuthenticationEnabled: false,
        Plugins: [pathOf("orthancDicomWeb")],
        DicomWeb: { Enable: true, Root: "/dicom-web/", EnableWado: true, WadoRoot: "/wado" },
      }),
    );
    orthanc = spawn(pathOf("orthanc"), [config], { stdio: "ignore" });
    await answering(`${origin}/system`);
  });
  after(async () => {
    closeConnections();
    orthanc.kill();
    await once(orthanc, "exit");
    await rm(folder, { recursive: true, force: true });
  });

  it("passes what any server does, and finds its faults", async () => {
    const target = { url: `${origin}/dicom-web`, wadoUrl: `${origin}/wado`, apiUrl: `${origin}/api`, headers: {} };
    const session = new Session(target, "orthanc");
    await session.prepare();
    const wanted = (await readMatrix()).filter(({ id }) => [...basics, ...faults].includes(id));
    const outcomes = await runLines(session, wanted);
    const failed = outcomes.filter(({ result }) => result === "fail").map(({ line }) => line.id);
    assert.deepEqual(
      failed.toSorted(),
      faults.toSorted(),
      outcomes.map(({ line, why }) => `${line.id}: ${why}`).join("\n"),
    );
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  return typeof address === "object" ? (address?.port ?? 0) : 0;
}

async function answering(url: string): Promise<void> {
  for (let left = 100; left > 0; left -= 1) {
    const answer = await fetch(url).catch(() => undefined);
    if (answer?.ok === true) return;
    await sleep(100);
  }
  throw new Error("Orthanc does not answer");
}
