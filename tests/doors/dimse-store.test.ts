/** C-STORE (PS3.4 Annex B): what is stored comes back byte for byte, and what is not is told by its status. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import request from "supertest";
import { textOf } from "../../server/dicom/data-set.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { dicomFile, element, encapsulated, type Piece, raw, sequence, syntaxUid } from "../support/dicom-writer.ts";
import { first, toDataSets } from "../support/dicom-json.ts";
import { sendInstance, storeAssociation } from "../support/dimse-store.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { scanOnce } from "../support/scan.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const sopClassUid = "1.2.840.10008.5.1.4.1.1.7";

/** An instance as pieces of a data set, and what identifies it. */
interface Made {
  readonly pieces: readonly Piece[];
  readonly study: string;
  readonly sopInstanceUid: string;
  readonly path: string;
}

const pixels = element(0x7fe00010, "OW", Buffer.alloc(4 * 4 * 2, 7));

/** A secondary capture; `others` go before the pixel data. */
function made(others: readonly Piece[] = [], pixelData = pixels, uids: { study?: string; series?: string } = {}): Made {
  const { study = newUid(), series = newUid() } = uids;
  const sopInstanceUid = newUid();
  const pieces = [
    element(0x00080016, "UI", sopClassUid),
    element(0x00080018, "UI", sopInstanceUid),
    element(0x00080020, "DA", "20240102"),
    element(0x00080060, "CS", "OT"),
    element(0x00100010, "PN", "Test^Sent"),
    element(0x00100020, "LO", "SENT-1"),
    element(0x0020000d, "UI", study),
    element(0x0020000e, "UI", series),
    element(0x00280002, "US", [1]),
    element(0x00280004, "CS", "MONOCHROME2"),
    element(0x00280010, "US", [4]),
    element(0x00280011, "US", [4]),
    element(0x00280100, "US", [16]),
    element(0x00280101, "US", [16]),
    element(0x00280102, "US", [15]),
    element(0x00280103, "US", [0]),
    ...others,
    pixelData,
  ];
  return {
    pieces,
    study,
    sopInstanceUid,
    path: `/dicom-web/studies/${study}/series/${series}/instances/${sopInstanceUid}`,
  };
}

/** The data set of a file with file meta information. */
function dataSetOf(file: Buffer): Buffer {
  // Preamble, prefix, and (0002,0000), which tells the rest.
  return file.subarray(144 + file.readUInt32LE(140));
}

function dataSetBytes({ pieces }: Pick<Made, "pieces">, syntax: string = syntaxUid.explicitLittle): Buffer {
  return dataSetOf(dicomFile(pieces, { syntax }));
}

async function retrieved({ url }: TestServer, { path: target }: Made): Promise<Buffer> {
  const answer = await fetch(url + target, { headers: { Accept: "application/dicom; transfer-syntax=*" } });
  assert.equal(answer.status, 200);
  return Buffer.from(await answer.arrayBuffer());
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
}

describe("C-STORE", () => {
  let server: TestServer;
  let folder = "";
  const explicit = { sopClassUid, transferSyntaxUid: syntaxUid.explicitLittle };

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-sent-"));
    server = await startTestServer({ QUARANTINE: "true" });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const encapsulatedPixels = encapsulated([], [Buffer.alloc(16, 9)]);
  const proposals = [
    ["implicit VR little endian", syntaxUid.implicitLittle, ["-xi"], pixels],
    ["explicit VR little endian", syntaxUid.explicitLittle, ["-xe"], pixels],
    ["explicit VR big endian", syntaxUid.explicitBig, ["-xb"], pixels],
    ["deflated", syntaxUid.deflated, ["-xd"], pixels],
    ["JPEG baseline", syntaxUid.jpegBaseline, ["-xy"], encapsulatedPixels],
    ["RLE", syntaxUid.rle, ["-xr"], encapsulatedPixels],
  ] as const;
  for (const [name, syntax, options, pixelData] of proposals) {
    it(`takes ${name} of storescu as it is`, requirement("dcmtk"), async () => {
      const sent = made([], pixelData);
      const file = path.join(folder, `${syntax}.dcm`);
      await writeFile(file, dicomFile(sent.pieces, { syntax }));
      const { stdout, stderr } = await run("storescu", ["-v", ...options, "127.0.0.1", `${server.dimsePort}`, file]);
      assert.match(`${stdout}${stderr}`, /Received Store Response \(Success\)/);
      const stored = await retrieved(server, sent);
      const { transferSyntax } = await scanOnce(stored);
      assert.equal(transferSyntax.uid, syntax);
      // What DCMTK deflates it deflates in its own way.
      if (syntax !== syntaxUid.deflated) assert.deepEqual(dataSetOf(stored), dataSetBytes(sent, syntax));
    });
  }

  it("keeps every byte of a data set, and writes down from whom and to whom it went", async () => {
    const sent = made([
      element(0x00290010, "LO", "A PRIVATE CREATOR"),
      element(0x00291001, "UN", Buffer.from([1, 2, 3, 4])),
      sequence(0x00291002, [[element(0x00100010, "PN", "In^Private")]], { open: true, openItems: true }),
      // A text that is not padded, and one with blanks around it.
      raw(Buffer.from("2900031055540000030000006f6464", "hex")),
      element(0x00324000, "LT", "  kept  "),
    ]);
    const dataSet = dataSetBytes(sent);
    const pieces = async function* () {
      for (let at = 0; at < dataSet.length; at += 37) yield dataSet.subarray(at, at + 37);
    };
    const connection = await storeAssociation(server, { ...explicit, callingAeTitle: "CT ROOM 1" });
    const { sopInstanceUid } = sent;
    const response = await sendInstance(connection, { sopClassUid, sopInstanceUid, dataSet: pieces() });
    await connection.association.release();
    assert.deepEqual([response.status, response.errorComment], [0x0000, undefined]);
    assert.deepEqual([response.affectedSopClassUid, response.affectedSopInstanceUid], [sopClassUid, sopInstanceUid]);
    const stored = await retrieved(server, sent);
    assert.deepEqual(dataSetOf(stored), dataSet);
    const { meta } = await scanOnce(stored);
    const told = [0x00020002, 0x00020003, 0x00020010, 0x00020016, 0x00020017, 0x00020018].map((tag) =>
      textOf(meta, tag),
    );
    const expected = [sopClassUid, sopInstanceUid, syntaxUid.explicitLittle, "CT ROOM 1", "CT ROOM 1", "NOCTIS"];
    assert.deepEqual(told, expected);
  });

  it("takes the same data set again as a success, whoever sends it and by whatever door, and no other", async () => {
    const sent = made();
    const { sopInstanceUid } = sent;
    const dataSet = dataSetBytes(sent);
    const objects = (await filesBelow(server.objectFolder)).length;
    for (const callingAeTitle of ["ONE", "ONE", "OTHER"]) {
      const connection = await storeAssociation(server, { ...explicit, callingAeTitle });
      const response = await sendInstance(connection, { sopClassUid, sopInstanceUid, dataSet });
      assert.deepEqual([response.status, response.errorComment], [0x0000, undefined]);
      await connection.association.release();
    }
    const body = multipartBody([dicomFile(sent.pieces)]);
    await request(server.url).post("/dicom-web/studies").set("Content-Type", multipartType).send(body).expect(200);
    const connection = await storeAssociation(server, explicit);
    const altered = Buffer.from(dataSet);
    altered.writeUInt8(8, altered.length - 1);
    const response = await sendInstance(connection, { sopClassUid, sopInstanceUid, dataSet: altered });
    assert.equal(response.status, 0x0111);
    assert.equal(response.errorComment, "Other content is stored already under the same UIDs; it was kept");
    await connection.association.release();
    assert.deepEqual(dataSetOf(await retrieved(server, sent)), dataSet);
    assert.equal((await filesBelow(server.objectFolder)).length, objects + 1);
  });

  it("tells by its status what is wrong with a data set, keeps what has a fault, and goes on", async () => {
    const connection = await storeAssociation(server, explicit);
    const sent = made();
    const { sopInstanceUid } = sent;
    const whole = dataSetBytes(sent);
    const without = (tag: string) => {
      const bytes = Buffer.from(tag, "hex");
      return dataSetBytes({ pieces: sent.pieces.filter((piece) => !isOf(piece, bytes)) });
    };
    const another = newUid();
    const refused = [
      ["another instance than the command says", whole, another, 0xa900, /^SOPInstanceUID \(0008,0018\) is not that/],
      ["no study", without("20000d00"), sopInstanceUid, 0xa900, /^StudyInstanceUID \(0020,000D\) is missing/],
      ["no data set at all", undefined, sopInstanceUid, 0xc000, /no data set/],
      ["an empty one", Buffer.alloc(0), sopInstanceUid, 0xa900, /^SOPInstanceUID \(0008,0018\) is missing/],
      ["one that ends early", whole.subarray(0, -10), sopInstanceUid, 0xc000, /^The file ends at byte/],
      ["no DICOM", Buffer.from("%PDF-1.4 and no DICOM"), sopInstanceUid, 0xc000, /./],
      ["no UID in the command", whole, undefined, 0x0106, /^Affected SOP Instance UID \(0000,1000\)/],
      ["what is no UID in the command", whole, "1.2.x", 0x0106, /^Affected SOP Instance UID \(0000,1000\)/],
    ] as const;
    for (const [what, dataSet, uid, status, comment] of refused) {
      const response = await sendInstance(connection, { sopClassUid, sopInstanceUid: uid, dataSet });
      assert.equal(response.status?.toString(16), status.toString(16), what);
      assert.match(response.errorComment ?? "", comment, what);
    }
    const otherClass = { sopClassUid: "1.2.840.10008.5.1.4.1.1.2", sopInstanceUid, dataSet: whole };
    const response = await sendInstance(connection, otherClass);
    assert.deepEqual(
      [response.status, response.errorComment],
      [0xa900, "SOPClassUID (0008,0016) is not that of the request."],
    );
    assert.equal((await fetch(server.url + sent.path)).status, 404);

    const ill = made([element(0x00400244, "DA", "NOT A DATE")]);
    const warned = await sendInstance(connection, { ...ill, sopClassUid, dataSet: dataSetBytes(ill) });
    assert.equal(warned.status, 0xb007);
    assert.match(warned.errorComment ?? "", /^PerformedProcedureStepStartDate is ill-formed/);
    assert.deepEqual(dataSetOf(await retrieved(server, ill)), dataSetBytes(ill));
    const fine = await sendInstance(connection, { sopClassUid, sopInstanceUid, dataSet: whole });
    assert.equal(fine.status, 0x0000);
    await connection.association.release();
    const { body } = await request(server.url).get("/api/quarantine").expect(200);
    const kept: { reason: string; origin: string }[] = body.files;
    assert.deepEqual(kept.map(({ reason, origin }) => `${origin} ${reason}`).sort(), [
      "dimse malformed-dicom",
      "dimse missing-identifier",
      "dimse missing-identifier",
      "dimse truncated-dicom",
    ]);
  });

  it("keeps nothing of a data set whose association ends within it", async () => {
    const drafts = path.join(server.objectFolder, "tmp");
    const { body: keptBefore } = await request(server.url).get("/api/quarantine").expect(200);
    const objects = (await filesBelow(server.objectFolder)).length;
    const sent = made([], element(0x7fe00010, "OW", Buffer.alloc(4 * 2 ** 20)));
    const dataSet = dataSetBytes(sent);
    const { promise: halted, resolve: halt } = Promise.withResolvers<void>();
    const part = async function* () {
      for (let at = 0; at < dataSet.length / 2; at += 65536) yield dataSet.subarray(at, at + 65536);
      await halted;
      yield dataSet.subarray(0, 2);
    };
    const connection = await storeAssociation(server, explicit);
    const sending = sendInstance(connection, { ...sent, sopClassUid, dataSet: part() });
    const failed = assert.rejects(sending);
    while ((await filesBelow(drafts)).length === 0) await sleep(5);
    await connection.association.abort();
    halt();
    await failed;
    while ((await filesBelow(drafts)).length > 0) await sleep(5);
    assert.equal((await filesBelow(server.objectFolder)).length, objects);
    const { body: keptAfter } = await request(server.url).get("/api/quarantine").expect(200);
    assert.deepEqual(keptAfter, keptBefore);
    assert.equal((await fetch(server.url + sent.path)).status, 404);
  });

  it("takes a large object, and four associations at a time into one series", async () => {
    const large = made([], element(0x7fe00010, "OW", Buffer.alloc(40 * 2 ** 20, "noctis")));
    const connection = await storeAssociation(server, explicit);
    const dataSet = dataSetBytes(large);
    assert.equal((await sendInstance(connection, { ...large, sopClassUid, dataSet })).status, 0x0000);
    await connection.association.release();
    const stored = dataSetOf(await retrieved(server, large));
    assert.equal(sha256(stored), sha256(dataSet));

    const [study, series] = [newUid(), newUid()];
    const instances = Array.from({ length: 80 }, () => made([], pixels, { study, series }));
    const queue = instances.values();
    const associations = [1, 2, 3, 4].map(async (number) => {
      const own = await storeAssociation(server, { ...explicit, callingAeTitle: `SENDER${number}` });
      for (const one of queue) {
        const response = await sendInstance(own, { ...one, sopClassUid, dataSet: dataSetBytes(one) });
        assert.equal(response.status, 0x0000);
      }
      await own.association.release();
    });
    await Promise.all(associations);
    const { text } = await request(server.url).get(`/dicom-web/studies?StudyInstanceUID=${study}`).expect(200);
    assert.equal(first(toDataSets(JSON.parse(text))[0], "00201208"), 80);
    for (const one of instances) assert.deepEqual(dataSetOf(await retrieved(server, one)), dataSetBytes(one));
  });

  it("answers A700 when there is no room, and goes on", async (t) => {
    const full = await startTestServer({ MIN_FREE_MB: "1000000" });
    t.after(() => full.stop());
    const connection = await storeAssociation(full, explicit);
    for (const large of [false, true]) {
      const sent = made([], element(0x7fe00010, "OW", Buffer.alloc(large ? 3 * 2 ** 20 : 32)));
      const response = await sendInstance(connection, { ...sent, sopClassUid, dataSet: dataSetBytes(sent) });
      assert.equal(response.status, 0xa700);
      assert.match(response.errorComment ?? "", /^The disk of the archive has less than 1000000 MB free/);
    }
    await connection.association.release();
    assert.deepEqual(await filesBelow(full.objectFolder), []);
  });
});

/** Whether a piece is the element whose tag is written as these four bytes (group and number, little endian each). */
function isOf(piece: Piece, tag: Buffer): boolean {
  return piece({ explicitVr: true, littleEndian: true }).subarray(0, 4).equals(tag);
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
