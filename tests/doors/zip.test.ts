/** ZIP archives of studies, series, instances and lists, read by a ZIP program that is not ours. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { newUid } from "../../server/dicom/uid.ts";
import { type InstanceFile, instanceFile } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);

describe("application/zip", requirement("unzip", "dcmtk"), () => {
  let server: TestServer;
  let folder: string;
  let first: InstanceFile;
  let second: InstanceFile;
  let other: InstanceFile;

  before(async () => {
    server = await startTestServer();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-zip-"));
    first = instanceFile({ PatientName: "Müller^Jürgen", SpecificCharacterSet: "ISO_IR 192" });
    second = instanceFile({ StudyInstanceUID: first.studyInstanceUid, InstanceNumber: 2 });
    other = instanceFile({ PatientID: "TEST-2", SOPClassUID: "1.2.840.10008.5.1.4.1.1.88.11" });
    for (const { bytes } of [first, second, other]) {
      const headers = { "Content-Type": "application/dicom" };
      const response = await fetch(`${server.url}/dicom-web/studies`, { method: "POST", headers, body: bytes });
      assert.equal(response.status, 200);
    }
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** The files of an answer by name, unpacked by unzip, which checks every sum. */
  async function unpack(response: Response): Promise<Map<string, Buffer>> {
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("content-type"), "application/zip");
    const to = await mkdtemp(path.join(folder, "unpacked-"));
    await writeFile(path.join(to, "archive.zip"), Buffer.from(await response.arrayBuffer()));
    await run("unzip", ["-q", path.join(to, "archive.zip"), "-d", path.join(to, "files")]);
    const entries = await readdir(path.join(to, "files"), { recursive: true, withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
    const files = await Promise.all(
      names.map(async (name) => [path.relative(path.join(to, "files"), name), await readFile(name)] as const),
    );
    return new Map(files);
  }

  function get(resource: string, accept = "application/zip") {
    return fetch(`${server.url}/dicom-web/${resource}`, { headers: { Accept: accept } });
  }

  function post(body: unknown) {
    const headers = { "Content-Type": "application/json" };
    return fetch(`${server.url}/api/zip`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  const pathOf = ({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile) =>
    `studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances/${sopInstanceUid}`;
  const nameOf = ({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: InstanceFile) =>
    `${studyInstanceUid}/${seriesInstanceUid}/${sopInstanceUid}.dcm`;

  it("holds the stored bytes of a study, a series and an instance", async () => {
    const study = await get(`studies/${first.studyInstanceUid}`);
    const disposition = `attachment; filename="${first.studyInstanceUid}.zip"`;
    assert.equal(study.headers.get("content-disposition"), disposition);
    const files = await unpack(study);
    assert.deepEqual([...files.keys()].sort(), [nameOf(first), nameOf(second)].sort());
    assert.ok(files.get(nameOf(first))?.equals(first.bytes));
    assert.ok(files.get(nameOf(second))?.equals(second.bytes));
    const series = await unpack(await get(`studies/${first.studyInstanceUid}/series/${first.seriesInstanceUid}`));
    assert.deepEqual([...series.keys()], [nameOf(first)]);
    assert.deepEqual([...(await unpack(await get(pathOf(second)))).keys()], [nameOf(second)]);
  });

  it("comes to a browser that follows a link", async () => {
    const response = await get(`studies/${first.studyInstanceUid}?accept=application/zip`, "text/html");
    assert.equal((await unpack(response)).size, 2);
  });

  it("is not what a client gets that takes anything", async () => {
    const response = await get(`studies/${first.studyInstanceUid}`, "*/*");
    assert.match(response.headers.get("content-type") ?? "", /^multipart\/related/);
    await response.body?.cancel();
  });

  it("takes the transfer syntaxes that Accept names, of every instance", async () => {
    const accept = (uid: string) => `application/zip; transfer-syntax=${uid}`;
    const right = await get(`studies/${first.studyInstanceUid}`, accept("1.2.840.10008.1.2.1"));
    assert.equal((await unpack(right)).size, 2);
    const wrong = await get(`studies/${first.studyInstanceUid}`, accept("1.2.840.10008.1.2.4.50"));
    assert.equal(wrong.status, 406);
    assert.match(await wrong.text(), /application\/zip/);
  });

  it("puts a list together, each instance once", async () => {
    const resources = [pathOf(first), `studies/${first.studyInstanceUid}`, pathOf(other)];
    const files = await unpack(await post({ resources }));
    assert.deepEqual([...files.keys()].sort(), [nameOf(first), nameOf(second), nameOf(other)].sort());
  });

  it("refuses a list with a resource that is absent, or that is none, before the first byte", async () => {
    assert.equal((await post({ resources: [pathOf(first), `studies/${newUid()}`] })).status, 404);
    assert.equal((await get(`studies/${newUid()}`)).status, 404);
    for (const bad of [{}, { resources: [] }, { resources: ["patients/1"] }, { resources: ["studies/../x"] }, []]) {
      const response = await post(bad);
      assert.equal(response.status, 400, JSON.stringify(bad));
      assert.equal(response.headers.get("content-type"), "application/problem+json");
    }
  });

  it("has a DICOMDIR when asked, whose records lead to every file", async () => {
    const resources = [`studies/${first.studyInstanceUid}`, pathOf(other)];
    const files = await unpack(await post({ resources, dicomdir: true }));
    const directory = files.get("DICOMDIR");
    assert.ok(directory);
    const records = recordsOf(directory);
    const types = records.map(({ type }) => type);
    const patients = ["PATIENT", "STUDY", "SERIES", "IMAGE", "PATIENT", "STUDY", "SERIES", "IMAGE"];
    assert.deepEqual(types, [...patients, "PATIENT", "STUDY", "SERIES", "SR DOCUMENT"]);
    const named = records.flatMap(({ fileId }) => fileId ?? []);
    assert.deepEqual([...named, "DICOMDIR"].sort(), [...files.keys()].sort());
    for (const name of named) assert.match(name, /^[A-Z0-9_]{1,8}(\/[A-Z0-9_]{1,8}){3}$/);
    const file = path.join(folder, "DICOMDIR");
    await writeFile(file, directory);
    const { stdout } = await run("dcmdump", ["+L", "-q", file]);
    assert.match(stdout, /PN \[Müller\^Jürgen\]/);
    assert.match(stdout, new RegExp(`ReferencedSOPInstanceUIDInFile|${other.sopInstanceUid}`));
    assert.equal((await run("dcmftest", [file])).stdout.startsWith("yes"), true);
  });

  it("has a DICOMDIR by a query parameter", async () => {
    const files = await unpack(await get(`studies/${first.studyInstanceUid}?dicomdir=true`));
    assert.equal(files.size, 3);
    const [image] = [...files].filter(([name]) => name.startsWith("PA") && name.endsWith("IM000001"));
    assert.ok(image?.[1].equals(first.bytes) || image?.[1].equals(second.bytes));
    assert.equal((await get(`studies/${first.studyInstanceUid}?dicomdir=perhaps`)).status, 400);
  });
});

interface DirectoryRecord {
  readonly type: string;
  readonly fileId: string | undefined;
}

/** Follows the offsets of a DICOMDIR from the root entity on, into depth first. */
function recordsOf(file: Buffer): DirectoryRecord[] {
  const root = file.indexOf(Buffer.from([0x04, 0x00, 0x00, 0x12, 0x55, 0x4c, 4, 0]));
  const records: DirectoryRecord[] = [];
  const follow = (first: number) => {
    for (let at = first; at !== 0; at = file.readUInt32LE(at + 16)) {
      assert.equal(file.readUInt32LE(at), 0xe000fffe, "an offset leads to an item");
      const item = file.subarray(at + 8, at + 8 + file.readUInt32LE(at + 4));
      const text = (group: number, element: number) => {
        const found = item.indexOf(Buffer.from([group, 0, element & 0xff, element >> 8]));
        if (found < 0) return undefined;
        return item.toString("latin1", found + 8, found + 8 + item.readUInt16LE(found + 6)).trim();
      };
      records.push({ type: text(4, 0x1430) ?? "", fileId: text(4, 0x1500)?.replaceAll("\\", "/") });
      follow(file.readUInt32LE(at + 38));
    }
  };
  follow(file.readUInt32LE(root + 8));
  return records;
}
