/** Noctis against its own matrix: no line that passed fails. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { closeConnections } from "../../conformance/http.ts";
import { readExpected, readMatrix } from "../../conformance/matrix.ts";
import { outcomeLine } from "../../conformance/report.ts";
import { Session } from "../../conformance/session.ts";
import { regressions, runLines } from "../../conformance/suite.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("conformance", () => {
  let server: TestServer;
  let session: Session;

  before(async () => {
    server = await startTestServer();
    const { url } = server;
    const dimse = { aeTitle: "NOCTIS", host: "127.0.0.1", port: server.dimsePort };
    const target = { url: `${url}/dicom-web`, wadoUrl: `${url}/wado`, apiUrl: `${url}/api`, dimse, headers: {} };
    session = new Session(target, "door test");
  });
  after(async () => {
    await session.close();
    closeConnections();
    await server.stop();
  });

  it("has no regression against expected.json", async () => {
    await session.prepare();
    assert.deepEqual(session.faults, []);
    const outcomes = await runLines(session, await readMatrix());
    assert.deepEqual(regressions(outcomes, await readExpected()).map(outcomeLine), []);
    if (requirement("dcmtk", "orthanc").skip !== false) return;
    const skipped = outcomes.filter(({ line, result }) => line.id.startsWith("dimse-") && result === "skip");
    assert.deepEqual(skipped.map(outcomeLine), []);
  });
});
