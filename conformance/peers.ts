/** Peers of a run: applications that the server under test is told of, by the interface of Noctis. */
import { api, eventually, type Json, jsonOf } from "./api.ts";
import { type Receiver, startReceiver } from "./dimse/receiver.ts";
import { expect, expectStatus, Failure, Skipped } from "./expect.ts";
import { type Listening, listen } from "./listening.ts";
import type { Session } from "./session.ts";

/** Tells the server of an application on 127.0.0.1. Throws Skipped where a server cannot be told. */
export async function makeKnown(session: Session, aeTitle: string, port: number): Promise<void> {
  const body = { kind: "dimse", aeTitle, host: "127.0.0.1", port };
  const answer = await api(session, `/peers/${aeTitle}`, "PUT", body);
  if (answer.status === 404) throw new Skipped("The server cannot be told of a peer.");
  expectStatus(answer, 200, 201);
  session.atEnd(() => api(session, `/peers/${aeTitle}`, "DELETE"));
}

/** A destination that takes whatever comes, and its AE title. */
export function destination(session: Session): Promise<{ readonly aeTitle: string; readonly receiver: Receiver }> {
  return session.shared("destination", async () => {
    const aeTitle = `CFR${session.run.token}`;
    const receiver = await startReceiver();
    session.atEnd(() => receiver.stop());
    await makeKnown(session, aeTitle, receiver.port);
    return { aeTitle, receiver };
  });
}

/** Orthanc of Debian, which knows the server as `tested`, and is known to it. */
export function orthanc(session: Session): Promise<{ readonly aeTitle: string; readonly url: string }> {
  return session.shared("orthanc", async () => {
    const aeTitle = `CFO${session.run.token}`;
    const { aeTitle: tested, host, port } = session.dimse;
    const configuration = (dicomPort: number, httpPort: number) => ({
      StorageDirectory: "FOLDER",
      IndexDirectory: "FOLDER",
      HttpPort: httpPort,
      DicomPort: dicomPort,
      DicomAet: aeTitle,
      DicomModalities: { tested: [tested, host, port] },
      DicomAlwaysAllowMove: true,
      RemoteAccessAllowed: false,
      AuthenticationEnabled: false,
      Plugins: [],
    });
    const program = await listen("Orthanc", (_ports, folder) => [`${folder}/orthanc.json`], {
      "orthanc.json": (ports) => JSON.stringify(configuration(ports.port, ports.second)),
    });
    session.atEnd(() => program.stop());
    await makeKnown(session, aeTitle, program.port);
    const url = `http://127.0.0.1:${program.second}`;
    await eventually(20, "Orthanc's answer", async () =>
      (await fetch(`${url}/system`).catch(() => undefined))?.ok === true ? true : undefined,
    );
    return { aeTitle, url };
  });
}

/** dcmqrscp of DCMTK, which moves to the server, and is known to it. */
export function dcmqrscp(session: Session): Promise<{ readonly aeTitle: string; readonly program: Listening }> {
  return session.shared("dcmqrscp", async () => {
    const aeTitle = `CFQ${session.run.token}`;
    const { aeTitle: tested, host, port } = session.dimse;
    const lines = [
      "MaxPDUSize = 65536",
      "MaxAssociations = 8",
      "HostTable BEGIN",
      `tested = (${tested}, ${host}, ${port})`,
      "HostTable END",
      "VendorTable BEGIN",
      "VendorTable END",
      "AETable BEGIN",
      `${aeTitle} FOLDER RW (100, 1024mb) ANY`,
      "AETable END",
      "",
    ];
    const program = await listen("dcmqrscp", (ports, folder) => ["-c", `${folder}/config`, String(ports.port)], {
      config: () => lines.join("\n"),
    });
    session.atEnd(() => program.stop());
    await makeKnown(session, aeTitle, program.port);
    return { aeTitle, program };
  });
}

/** Has the server do something with a peer, and waits for the end of it, which must be a success. */
export async function peerJob(session: Session, aeTitle: string, what: string, body?: unknown): Promise<Json> {
  const answer = await api(session, `/peers/${aeTitle}/${what}?wait=30`, "POST", body);
  const job = jsonOf(expectStatus(answer, 200));
  expect(job["state"] === "succeeded", `The job to ${what} ended as ${JSON.stringify(job).slice(0, 300)}.`);
  return job;
}

/** A JSON answer of Orthanc. Throws Failure when it is none of success. */
export async function askOrthanc(url: string, body?: unknown): Promise<unknown> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const response = await fetch(url, body === undefined ? {} : { method: "POST", body: text });
  const answer = await response.text();
  if (!response.ok) throw new Failure(`Orthanc answered ${response.status}: ${answer.slice(0, 200)}`);
  return JSON.parse(answer);
}
