/** C-GET (PS3.4 C.4.3): what comes, in which transfer syntax, what is counted, and what is refused. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it, type TestContext } from "node:test";
import { promisify } from "node:util";
import { newUid } from "../../server/dicom/uid.ts";
import { element, encapsulated, syntaxUid } from "../support/dicom-writer.ts";
import { dataSetOf, retrieve } from "../support/dimse-retrieve.ts";
import { imageFile, nativeImage, pixelAttributes } from "../support/images.ts";
import { multipartBody, multipartType } from "../support/instances.ts";
import { jpeg } from "../support/jpeg.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const secondaryCapture = "1.2.840.10008.5.1.4.1.1.7";
const { explicitLittle, implicitLittle, explicitBig, jpegBaseline } = syntaxUid;

const study = newUid();
const series = newUid();
const compressed = newUid();
/** Three of one series, each in a syntax of its own, and one of another series whose pixels are compressed. */
const files = {
  explicit: plainImage(explicitLittle, newUid()),
  implicit: nativeImage(2, implicitLittle, { study, series }),
  big: nativeImage(3, explicitBig, { study, series }),
  jpeg: imageFile(jpegBaseline, pixelAttributes(2, 2, 1), [encapsulated([], [jpeg({ jfif: true })])], {
    study,
    series: compressed,
  }),
} as const;
/** The same image in whatever native syntax. */
function plainImage(syntax: string, uid: string) {
  const attributes = { ...pixelAttributes(2, 2, 1, "MONOCHROME2"), "00080018": ["UI", uid] } as const;
  const { bytes } = imageFile(syntax, attributes, [element(0x7fe00010, "OW", Buffer.from([1, 2, 3, 4]))], {
    study,
    series,
  });
  return { bytes, path: `/${uid}` };
}

type Name = keyof typeof files;

const uidOf = (name: Name) => path.basename(files[name].path);

describe("C-GET", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer();
    const body = multipartBody(Object.values(files).map(({ bytes }) => bytes));
    const headers = { "Content-Type": multipartType };
    const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body });
    assert.equal(response.status, 200, await response.text());
  });
  after(() => server.stop());

  const studyKeys = { "00080052": "STUDY", "0020000D": study };
  const everything = [
    [secondaryCapture, explicitLittle],
    [secondaryCapture, implicitLittle],
    [secondaryCapture, explicitBig],
    [secondaryCapture, jpegBaseline],
  ] as const;

  it("gives every instance exactly as it is stored to a requestor that takes that", async () => {
    const { pending, final, stored, failed } = await retrieve(server, { keys: studyKeys, takes: everything });
    assert.deepEqual(
      [final.status, final.numberOfCompletedSuboperations, final.numberOfFailedSuboperations],
      [0x0000, 4, 0],
    );
    assert.equal(final.numberOfRemainingSuboperations, undefined);
    assert.deepEqual(failed, []);
    assert.equal(stored.size, 4);
    for (const name of ["explicit", "implicit", "big", "jpeg"] as const) {
      assert.ok(stored.get(uidOf(name))?.dataSet.equals(await dataSetOf(files[name].bytes)), name);
    }
    for (const { status, ...counts } of pending) {
      const { numberOfRemainingSuboperations: left = 0, numberOfCompletedSuboperations: done = 0 } = counts;
      assert.deepEqual([status, left + done], [0xff00, 4]);
    }
  });

  it("converts what is native to what the requestor takes, and says which instances it could not give", async () => {
    const uid = uidOf("explicit");
    const { final, failed, stored } = await retrieve(server, {
      keys: studyKeys,
      takes: [[secondaryCapture, implicitLittle]],
    });
    assert.deepEqual(
      [final.status, final.numberOfCompletedSuboperations, final.numberOfFailedSuboperations],
      [0xb000, 3, 1],
    );
    assert.deepEqual(failed, [uidOf("jpeg")]);
    assert.match(final.errorComment ?? "", /no presentation context/);
    const found = stored.get(uid);
    assert.equal(found?.transferSyntaxUid, implicitLittle);
    assert.ok(found.dataSet.equals(await dataSetOf(plainImage(implicitLittle, uid).bytes)));
  });

  it("refuses nothing that can be given when everything else cannot", async () => {
    const { final, failed } = await retrieve(server, { keys: studyKeys, takes: [] });
    assert.deepEqual([final.status, final.numberOfFailedSuboperations], [0xa702, 4]);
    assert.equal(failed.length, 4);
  });

  it("counts what the requestor stores with a warning, and what it refuses", async () => {
    const answers = [0xb007, 0xa700];
    const { final, failed } = await retrieve(server, {
      keys: { "00080052": "SERIES", "0020000D": study, "0020000E": series },
      takes: everything,
      onStore: () => answers.shift() ?? 0,
    });
    assert.deepEqual(
      [
        final.status,
        final.numberOfCompletedSuboperations,
        final.numberOfWarningSuboperations,
        final.numberOfFailedSuboperations,
      ],
      [0xb000, 1, 1, 1],
    );
    assert.equal(failed.length, 1);
    assert.match(final.errorComment ?? "", /A700/);
  });

  it("takes lists of UIDs at each level, and every model", async () => {
    const all = { takes: everything };
    const count = async (request: Omit<Parameters<typeof retrieve>[1], "takes">) => {
      const { final, stored } = await retrieve(server, { ...request, ...all });
      assert.equal(final.status, 0);
      return stored.size;
    };
    const both = { "00080052": "SERIES", "0020000D": study, "0020000E": [series, compressed] };
    assert.equal(await count({ keys: both }), 4);
    const images = [uidOf("big"), uidOf("explicit"), newUid()];
    const some = { "00080052": "IMAGE", "0020000D": study, "0020000E": series, "00080018": images };
    assert.equal(await count({ keys: some }), 2);
    assert.equal(await count({ keys: { "00080052": "STUDY", "0020000D": [newUid(), study] } }), 4);
    const patient = { "00080052": "PATIENT", "00100020": "TEST-2" };
    assert.equal(await count({ model: "patientRoot", keys: patient }), 4);
    assert.equal(await count({ model: "patientStudyOnly", keys: patient }), 4);
    assert.equal(await count({ model: "patientRoot", keys: { ...studyKeys, "00100020": "TEST-2" } }), 4);
  });

  it("gives nothing of another patient, study or series, which is no failure", async () => {
    const nothing = [
      { model: "patientRoot", keys: { ...studyKeys, "00100020": "ANOTHER" } },
      { model: "patientRoot", keys: { "00080052": "PATIENT", "00100020": "TEST-2", "00100021": "OTHER" } },
      { model: "studyRoot", keys: { "00080052": "STUDY", "0020000D": newUid() } },
      { model: "studyRoot", keys: { "00080052": "SERIES", "0020000D": newUid(), "0020000E": series } },
    ] as const;
    for (const request of nothing) {
      const { final, pending, stored } = await retrieve(server, { ...request, takes: everything });
      assert.deepEqual([final.status, final.numberOfCompletedSuboperations, stored.size, pending.length], [0, 0, 0, 0]);
    }
  });

  it("asks for the keys of the levels above, unless a relational retrieval was agreed on", async () => {
    const image = { "00080052": "IMAGE", "00080018": uidOf("big") };
    const { final } = await retrieve(server, { keys: image, takes: everything });
    assert.equal(final.status, 0xa900);
    assert.match(final.errorComment ?? "", /StudyInstanceUID/);
    assert.deepEqual(final.offendingElements, ["0020000D"]);
    const relational = await retrieve(server, { keys: image, takes: everything, relational: true });
    assert.deepEqual([relational.final.status, [...relational.stored.keys()]], [0, [uidOf("big")]]);
  });

  it("refuses an identifier that does not fit the SOP class", async () => {
    const refused = [
      { keys: { "0020000D": study } },
      { keys: { "00080052": "PATIENT", "00100020": "TEST-2" } },
      { keys: { "00080052": "STUDY" } },
      { keys: { "00080052": "STUDY", "0020000D": "1.2.*" } },
      { keys: { "00080052": "SERIES", "0020000D": [study, newUid()], "0020000E": series } },
      { model: "patientStudyOnly", keys: { "00080052": "SERIES", "00100020": "TEST-2", "0020000D": study } },
      { model: "patientRoot", keys: { "00080052": "PATIENT", "00100020": ["TEST-1", "TEST-2"] } },
    ] as const;
    for (const request of refused) {
      const { final, stored } = await retrieve(server, { ...request, takes: everything });
      assert.deepEqual([final.status, stored.size], [0xa900, 0], JSON.stringify(request));
      assert.ok(final.errorComment);
    }
  });

  it("ends when it is cancelled, and says what remains", async () => {
    let count = 0;
    const { final, stored } = await retrieve(server, {
      keys: studyKeys,
      takes: everything,
      onStore: async (_command, get) => {
        count += 1;
        if (count === 2) await get.cancel();
        return 0;
      },
    });
    assert.deepEqual(
      [final.status, final.numberOfCompletedSuboperations, final.numberOfRemainingSuboperations, stored.size],
      [0xfe00, 2, 2, 2],
    );
  });

  describe("by getscu of DCMTK", requirement("dcmtk"), () => {
    async function get(t: TestContext, ...options: string[]) {
      const folder = await mkdtemp(path.join(tmpdir(), "noctis-getscu-"));
      t.after(() => rm(folder, { recursive: true, force: true }));
      const keys = ["-k", "0008,0052=STUDY", "-k", `0020,000d=${study}`];
      const args = ["-v", "-S", "+B", "-od", folder, ...options, ...keys, "127.0.0.1", String(server.dimsePort)];
      const { stdout, stderr } = await run("getscu", args, { env: { ...process.env, TCP_NODELAY: "1" } });
      const names = await readdir(folder);
      const got = names.map(async (name) => {
        const file = await readFile(path.join(folder, name));
        return [name.replace(/^[A-Z]+\./, ""), await dataSetOf(file)] as const;
      });
      return { output: `${stdout}${stderr}`, got: new Map(await Promise.all(got)) };
    }

    it("comes as it proposes", async (t) => {
      const { got, output } = await get(t);

      assert.equal(got.size, 3, output);
      assert.ok(got.get(uidOf("explicit"))?.equals(await dataSetOf(files.explicit.bytes)));
      assert.match(output, /Failed Suboperations +: 1/i);
      const lossy = await get(t, "+xy");
      assert.deepEqual([...lossy.got.keys()], [uidOf("jpeg")]);
      assert.ok(lossy.got.get(uidOf("jpeg"))?.equals(await dataSetOf(files.jpeg.bytes)));
    });
  });
});
