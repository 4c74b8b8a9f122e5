/** noctis peers, echo, find, send and fetch, with programs of DCMTK as peers: what they print, and how they exit. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { newUid } from "../../server/dicom/uid.ts";
import { type DcmtkServer, freePort, startDcmqrscp, startStorescp, storescu } from "../support/dcmtk.ts";
import { instanceFile } from "../support/instances.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const cli = path.join(import.meta.dirname, "../../server/cli.ts");

const study = newUid();
const files = [1, 2, 3].map((number) => instanceFile({ StudyInstanceUID: study, InstanceNumber: number }));

describe("the commands that talk to peers", requirement("dcmtk"), () => {
  let server: TestServer;
  let archive: DcmtkServer;
  let folder: string;

  before(async () => {
    server = await startTestServer();
    archive = await startDcmqrscp([{ aeTitle: "NOCTIS", port: server.dimsePort }]);
    folder = await mkdtemp(path.join(tmpdir(), "noctis-commands-"));
    for (const [index, { bytes }] of files.entries()) await writeFile(path.join(folder, `${index}.dcm`), bytes);
  });
  after(async () => {
    await archive.stop();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** Runs the command with the settings of the server. */
  async function noctis(...args: readonly string[]) {
    const peers = `pacs=DCMQR@127.0.0.1:${archive.port}`;
    const env = { PATH: process.env["PATH"], HOME: process.env["HOME"], ...server.shared, DIMSE_PEERS: peers };
    const child = spawn(process.execPath, [cli, ...args], { env, stdio: ["ignore", "pipe", "pipe"] });
    const [output, fault, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    return { output, fault, code };
  }

  it("lists, adds and removes peers", async () => {
    const fixed = `pacs  DCMQR@127.0.0.1:${archive.port}  (DIMSE_PEERS)\n`;
    assert.deepEqual(await noctis("peers"), { output: `${fixed}1 peer.\n`, fault: "", code: 0 });
    const added = await noctis("peers", "add", "room-3=WS3@[::1]:104?tls&calling=US");
    assert.deepEqual(added, { output: "room-3  WS3@[::1]:104?tls&calling=US\n", fault: "", code: 0 });
    const { body } = await request(server.url).get("/api/peers/room-3").expect(200);
    assert.deepEqual([body.aeTitle, body.tls, body.callingAeTitle], ["WS3", true, "US"]);
    const again = await noctis("peers", "add", "WS3@host:104");
    assert.deepEqual([again.code, again.fault], [1, "Another peer has that name or AE title.\n"]);
    assert.deepEqual((await noctis("peers", "remove", "room-3")).output, "room-3 removed.\n");
    assert.deepEqual((await noctis("peers", "remove", "pacs")).code, 1);
  });

  it("asks a peer whether it is there: by its name, its AE title or its address", async () => {
    for (const peer of ["pacs", "DCMQR", `DCMQR@127.0.0.1:${archive.port}`]) {
      const { output, code } = await noctis("echo", peer);
      assert.match(output, /DCMQR\)? at 127\.0\.0\.1:\d+ answers: association .+ ms, echo .+ ms, OFFIS_DCMTK/);
      assert.equal(code, 0);
    }
    const wrongTitle = await noctis("echo", `OTHER@127.0.0.1:${archive.port}`);
    assert.equal(wrongTitle.code, 1);
    assert.match(wrongTitle.fault, /called AE title/i);
    const absent = await noctis("echo", `A@127.0.0.1:${await freePort()}`, "--json");
    assert.deepEqual([absent.code, JSON.parse(absent.output).error], [1, "peer-unreachable"]);
    const unknown = await noctis("echo", "nobody");
    assert.deepEqual([unknown.code, unknown.fault.startsWith("There is no peer nobody.")], [1, true]);
    assert.equal((await noctis("echo")).code, 2);
  });

  it("sends files, finds them there, and fetches them by C-GET and C-MOVE", async () => {
    const notDicom = path.join(folder, "note.txt");
    await writeFile(notDicom, "nothing of DICOM");
    const sent = await noctis("send", "pacs", folder);
    assert.equal(
      sent.output,
      `Sent 3 to pacs (DCMQR) at 127.0.0.1:${archive.port}, not sent 1.\nNot sent:\n  not a DICOM file:\n    ${notDicom}\n`,
    );
    assert.equal(sent.code, 1);
    await rm(notDicom);
    assert.equal((await noctis("send", "pacs", folder)).code, 0);

    const found = await noctis("find", "pacs", "PatientName=Test*", "--return", "InstitutionName");
    assert.equal(found.code, 0);
    const [head = "", row = "", end] = found.output.split("\n");
    assert.match(head, /^StudyDate +StudyTime +PatientID +PatientName .*InstitutionName$/);
    assert.match(row, new RegExp(`^20240102 +101112 +TEST-1 +Test\\^Patient .*${study}`));
    assert.equal(end, "1 match.");
    const json = await noctis("find", "pacs", "--study", study, "--json");
    assert.deepEqual(JSON.parse(json.output.split("\n")[0] ?? "")["0020000D"].Value, [study]);
    const limited = await noctis("find", "pacs", "--study", study, "--limit", "1");
    assert.match(limited.fault, /has more than 1: the query was cancelled/);

    const fetched = await noctis("fetch", "pacs", "--study", study);
    assert.match(
      fetched.output,
      new RegExp(`^${study}: complete, 3 of 3 received\\. The peer answered the C-GET with 0000`),
    );
    assert.deepEqual([fetched.fault, fetched.code], ["", 0]);
    const { body } = await request(server.url).get(`/dicom-web/studies/${study}/instances`).expect(200);
    assert.equal(body.length, 3);
    const moved = await noctis("fetch", "pacs", "--study", study, "--by", "move", "--json");
    const { by, isComplete, expected, failures } = JSON.parse(moved.output);
    assert.deepEqual([moved.code, by, isComplete, expected, failures], [0, "move", true, 3, []]);
    const nothing = await noctis("fetch", "pacs", "--study", newUid());
    assert.equal(nothing.code, 1);
    assert.match(nothing.fault, /The peer has nothing of that kind\./);
  });

  it("brings by C-MOVE what the archive does not have yet", async () => {
    const file = instanceFile();
    const one = path.join(folder, "one");
    await mkdir(one);
    await writeFile(path.join(one, "a.dcm"), file.bytes);
    await storescu(archive.port, "DCMQR", one);
    const { code, output } = await noctis("fetch", "pacs", "--study", file.studyInstanceUid, "--by", "move");
    assert.match(output, /: complete, 1 of 1 received\. The peer answered the C-MOVE with 0000: success/);
    assert.equal(code, 0);
    await request(server.url).get(`/dicom-web/studies/${file.studyInstanceUid}/metadata`).expect(200);
  });

  it("names every file with the UID of an instance that was not sent", async () => {
    const file = instanceFile();
    const twice = path.join(folder, "twice");
    await mkdir(twice);
    const names = ["a.dcm", "b.dcm"].map((name) => path.join(twice, name));
    for (const name of names) await writeFile(name, file.bytes);
    const { output } = await noctis("send", `WS@127.0.0.1:${await freePort()}`, twice);
    await rm(twice, { recursive: true });
    assert.ok(output.includes(names.join(" or ")), output);
  });

  it("sends studies of the archive, and says which it does not have", async (t) => {
    const destination = await startStorescp();
    t.after(() => destination.stop());
    const file = instanceFile();
    const post = request(server.url).post("/dicom-web/studies").set("Content-Type", "application/dicom");
    await post.send(file.bytes).expect(200);
    const peer = `WS@127.0.0.1:${destination.port}`;
    const sent = await noctis("send", peer, "--study", file.studyInstanceUid);
    assert.deepEqual([sent.code, sent.output], [0, `Sent 1 to WS at 127.0.0.1:${destination.port}, not sent 0.\n`]);
    assert.deepEqual((await readdir(destination.folder)).length, 1);
    const absent = newUid();
    const half = await noctis("send", peer, "--study", file.studyInstanceUid, "--study", absent);
    assert.equal(half.code, 1);
    assert.match(half.output, new RegExp(`Not sent:\n  nothing of it is in the archive:\n    ${absent}\n`));
  });

  it("lists each instance that a peer does not take, with the reason", async (t) => {
    const dead = await noctis("send", `WS@127.0.0.1:${await freePort()}`, folder);
    assert.equal(dead.code, 1);
    assert.match(
      dead.output,
      /not sent [3-9].*\nNot sent:\n  The peer cannot be reached.*:\n    .*0\.dcm\n    .*1\.dcm\n/,
    );
    const aborting = await startStorescp(["--abort-after"]);
    t.after(() => aborting.stop());
    const aborted = await noctis("send", `WS@127.0.0.1:${aborting.port}`, path.join(folder, "0.dcm"));
    assert.equal(aborted.code, 1);
    assert.match(aborted.output, /^Sent 0 to WS at .*, not sent 1\.\nNot sent:\n  The peer aborted/);
    const refusing = await startStorescp(["--refuse"]);
    t.after(() => refusing.stop());
    const refused = await noctis("send", `WS@127.0.0.1:${refusing.port}`, path.join(folder, "0.dcm"), "--json");
    const [failure, counts] = refused.output
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    assert.deepEqual(
      [refused.code, failure.code, counts],
      [1, "association-rejected", { sent: 0, failed: 1, untried: 0 }],
    );
  });
});
