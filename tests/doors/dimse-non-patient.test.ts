/** C-STORE of what belongs to no patient (PS3.4 GG): it is stored where DICOMweb has it. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { sendInstance, storeAssociation } from "../support/dimse-store.ts";
import { syntaxUid } from "../support/dicom-writer.ts";
import { colorPalette, palette } from "../support/palettes.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

describe("C-STORE of what belongs to no patient", () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  /** What follows the preamble, the prefix and the file meta information. */
  const dataSetOf = (file: Buffer) => file.subarray(144 + file.readUInt32LE(140));

  async function statusOf(
    sopInstanceUid: string,
    dataSet: Buffer,
    callingAeTitle: string,
  ): Promise<number | undefined> {
    const proposal = { callingAeTitle, sopClassUid: colorPalette, transferSyntaxUid: syntaxUid.explicitLittle };
    const connection = await storeAssociation(server, proposal);
    const { status } = await sendInstance(connection, { sopClassUid: colorPalette, sopInstanceUid, dataSet });
    await connection.association.release();
    return status;
  }

  it("keeps every byte, knows the same again from whomever, and refuses another of that UID", async () => {
    const { uid, bytes } = palette("HOT");
    assert.equal(await statusOf(uid, dataSetOf(bytes), "EDITOR1"), 0);
    assert.equal(await statusOf(uid, dataSetOf(bytes), "EDITOR2"), 0);
    const other = palette("COLD", { SOPInstanceUID: uid });
    assert.equal(await statusOf(uid, dataSetOf(other.bytes), "EDITOR1"), 0x0111);
    const answer = await fetch(`${server.url}/dicom-web/color-palettes/${uid}`, {
      headers: { Accept: "application/dicom" },
    });
    assert.equal(answer.status, 200);
    assert.deepEqual(dataSetOf(Buffer.from(await answer.arrayBuffer())), dataSetOf(bytes));
  });

  it("refuses an instance that is another than the command says", async () => {
    assert.equal(await statusOf(newUid(), dataSetOf(palette("MINE").bytes), "EDITOR1"), 0xa900);
  });
});
