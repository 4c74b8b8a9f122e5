/** Other archives as peers in both directions: Orthanc, and dcmqrscp of DCMTK. */
import { eventually, listOf } from "../api.ts";
import type { Checks } from "../check.ts";
import { partsOf } from "../dimse/part10.ts";
import { expect, expectBytes, expectEqual, expectStatus, soleBody } from "../expect.ts";
import type { Instance } from "../instances.ts";
import { askOrthanc, dcmqrscp, orthanc, peerJob } from "../peers.ts";
import { media, pathsOf, type Session } from "../session.ts";

/** A path as jobs take it. */
function resourceOf(instance: Instance): string {
  return pathsOf(instance).study.slice(1);
}

/** The identifiers that Orthanc gives the instances of a study. */
async function instancesInOrthanc(url: string, { studyInstanceUid }: Instance): Promise<string[]> {
  const query = { Level: "Instance", Query: { StudyInstanceUID: studyInstanceUid } };
  const found = await askOrthanc(`${url}/tools/find`, query);
  return Array.isArray(found) ? found.map(String) : [];
}

/** Sends a study to a peer, forgets it, retrieves it from the peer, and expects the same bytes of each instance. */
async function expectBack(session: Session, aeTitle: string, method: "get" | "move", name: string): Promise<void> {
  const instance = await session.stored(session.run.scratch(name));
  const resources = [resourceOf(instance)];
  await peerJob(session, aeTitle, "send", { resources });
  expectStatus(await session.request(pathsOf(instance).study, { method: "DELETE" }), 204, 200);
  await peerJob(session, aeTitle, "retrieve", { resources, method });
  const back = await eventually(10, "What was retrieved", async () => {
    const answer = await session.get(pathsOf(instance).instance, media.single);
    return answer.status === 200 ? answer : undefined;
  });
  expectBytes(partsOf(soleBody(back)).dataSet, partsOf(instance.file).dataSet, "The data set that came back");
}

/** Finds in a peer what was sent to it. */
async function expectFound(session: Session, aeTitle: string, name: string): Promise<void> {
  const instance = await session.stored(session.run.scratch(name));
  await peerJob(session, aeTitle, "send", { resources: [resourceOf(instance)] });
  const keys = { StudyInstanceUID: instance.studyInstanceUid, PatientID: "" };
  const job = await peerJob(session, aeTitle, "query", { level: "study", keys });
  const answers = listOf(Object(job["result"]).answers);
  expectEqual(answers.length, 1, "The number of answers");
  expect(JSON.stringify(answers).includes(session.run.patientId("X")), "The answer has no Patient ID.");
}

export const dimsePeerChecks: Checks = {
  "dimse-orthanc-echo": async (session) => {
    const { url } = await orthanc(session);
    await askOrthanc(`${url}/modalities/tested/echo`, {});
  },
  "dimse-orthanc-store": async (session) => {
    const { url } = await orthanc(session);
    const instance = session.run.scratch("orthanc stores");
    session.removeLater(pathsOf(instance).study);
    const response = await fetch(`${url}/instances`, { method: "POST", body: new Uint8Array(instance.file) });
    expect(response.ok, "Orthanc does not take the instance.");
    await askOrthanc(`${url}/modalities/tested/store`, { Resources: await instancesInOrthanc(url, instance) });
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 200);
  },
  "dimse-orthanc-find": async (session) => {
    const { url } = await orthanc(session);
    const mr = session.need(session.fixtures.mr);
    const query = { Level: "Study", Query: { StudyInstanceUID: mr.studyInstanceUid, PatientID: "" } };
    const made = Object(await askOrthanc(`${url}/modalities/tested/query`, query));
    const answers = await askOrthanc(`${url}${String(made.Path)}/answers?expand&simplify`);
    expect(JSON.stringify(answers).includes(session.run.patientId("A")), "Orthanc finds no study of the patient.");
  },
  "dimse-orthanc-move": async (session) => {
    const { url, aeTitle } = await orthanc(session);
    const mr = session.need(session.fixtures.mr);
    const query = { Level: "Study", Query: { StudyInstanceUID: mr.studyInstanceUid } };
    const made = Object(await askOrthanc(`${url}/modalities/tested/query`, query));
    await askOrthanc(`${url}${String(made.Path)}/retrieve`, { TargetAet: aeTitle, Synchronous: true });
    expectEqual((await instancesInOrthanc(url, mr)).length, 4, "The instances that Orthanc has got");
  },
  "dimse-orthanc-commitment": async (session) => {
    const { url } = await orthanc(session);
    const mr = session.need(session.fixtures.mr);
    const DicomInstances = [{ SOPClassUID: mr.sopClassUid, SOPInstanceUID: mr.sopInstanceUid }];
    const asked = Object(await askOrthanc(`${url}/modalities/tested/storage-commitment`, { DicomInstances }));
    const status = await eventually(20, "The report of the commitment", async () => {
      const outcome = Object(await askOrthanc(`${url}${String(asked.Path)}`));
      return outcome.Status === "Pending" ? undefined : String(outcome.Status);
    });
    expectEqual(status, "Success", "What Orthanc has been told");
  },
  "dimse-to-orthanc-echo": async (session) => {
    const { aeTitle } = await orthanc(session);
    await peerJob(session, aeTitle, "echo");
  },
  "dimse-to-orthanc-send": async (session) => {
    const { aeTitle, url } = await orthanc(session);
    const instance = await session.stored(session.run.scratch("to orthanc"));
    await peerJob(session, aeTitle, "send", { resources: [resourceOf(instance)] });
    expectEqual((await instancesInOrthanc(url, instance)).length, 1, "The instances that Orthanc has got");
  },
  "dimse-to-orthanc-query": async (session) => {
    const { aeTitle } = await orthanc(session);
    await expectFound(session, aeTitle, "orthanc query");
  },
  "dimse-to-orthanc-get": async (session) => {
    const { aeTitle } = await orthanc(session);
    await expectBack(session, aeTitle, "get", "orthanc get");
  },
  "dimse-to-orthanc-move": async (session) => {
    const { aeTitle } = await orthanc(session);
    await expectBack(session, aeTitle, "move", "orthanc move");
  },
  "dimse-to-dcmqrscp-echo": async (session) => {
    const { aeTitle } = await dcmqrscp(session);
    await peerJob(session, aeTitle, "echo");
  },
  "dimse-to-dcmqrscp-query": async (session) => {
    const { aeTitle } = await dcmqrscp(session);
    await expectFound(session, aeTitle, "dcmqrscp query");
  },
  "dimse-to-dcmqrscp-get": async (session) => {
    const { aeTitle } = await dcmqrscp(session);
    await expectBack(session, aeTitle, "get", "dcmqrscp get");
  },
  "dimse-to-dcmqrscp-move": async (session) => {
    const { aeTitle } = await dcmqrscp(session);
    await expectBack(session, aeTitle, "move", "dcmqrscp move");
  },
};
