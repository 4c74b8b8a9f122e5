/** C-ECHO (PS3.4 Annex A) over real associations, as SCP and as SCU. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);

describe("C-ECHO", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  it("answers echoscu of DCMTK, several times on one association", requirement("dcmtk"), async () => {
    const { stdout, stderr } = await run("echoscu", ["-v", "--repeat", "3", "127.0.0.1", String(server.dimsePort)]);
    assert.equal(`${stdout}${stderr}`.match(/Received Echo Response \(Success\)/g)?.length, 3);
  });

  it("is answered on an association of our own, and refuses what is no operation of it", async () => {
    const verification = "1.2.840.10008.1.1";
    const association = await connect(
      { aeTitle: "NOCTIS", host: "127.0.0.1", port: server.dimsePort },
      {
        callingAeTitle: "TEST",
        contexts: [{ abstractSyntaxUid: verification, transferSyntaxUids: ["1.2.840.10008.1.2"] }],
      },
    );
    const [context] = association.contexts.values();
    assert.ok(context);
    const statusOf = async (commandField: number) => {
      const statuses: (number | undefined)[] = [];
      const command = { commandField, affectedSopClassUid: verification };
      for await (const response of association.invoke({ context, command })) statuses.push(response.command.status);
      return statuses;
    };
    assert.deepEqual(await statusOf(commandFields.cEchoRequest), [0]);
    assert.deepEqual(await statusOf(commandFields.nDeleteRequest), [0x0211]);
    await association.release();
  });
});
