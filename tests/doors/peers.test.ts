/** /api/peers: added, shown without secrets, replaced, removed; those of the settings are fixed, and win. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import request from "supertest";
import { loadConfig } from "../../server/config.ts";
import { createLog } from "../../server/log.ts";
import { startServer } from "../../server/server.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const workstation = { kind: "dimse", aeTitle: "WS1", host: "ws1.example", port: 11112 };
const shownWorkstation = { ...workstation, name: "WS1", tls: false, source: "api", overruled: false };
const fixedPeer = {
  kind: "dimse",
  name: "pacs",
  aeTitle: "PACS2",
  host: "::1",
  port: 104,
  tls: true,
  source: "settings",
  overruled: false,
};

describe("/api/peers", () => {
  let server: TestServer;

  before(async () => {
    server = await startTestServer({ DIMSE_PEERS: "pacs=PACS2@[::1]:104?tls" });
  });
  after(() => server.stop());

  const add = (peer: object) => request(server.url).post("/api/peers").send(peer);
  const put = (name: string, peer: object) => request(server.url).put(`/api/peers/${name}`).send(peer);
  const get = (name: string) => request(server.url).get(`/api/peers/${name}`);
  const remove = (name: string) => request(server.url).delete(`/api/peers/${name}`);

  it("adds, shows, lists and removes a peer, named after its AE title by default", async () => {
    const { body, headers } = await add(workstation).expect(201);
    assert.deepEqual(body, shownWorkstation);
    assert.equal(headers["location"], "/api/peers/WS1");
    assert.deepEqual((await get("WS1").expect(200)).body, shownWorkstation);
    const { body: all } = await request(server.url).get("/api/peers").expect(200);
    assert.deepEqual(all, { peers: [fixedPeer, shownWorkstation] });
    await remove("WS1").expect(204);
    await get("WS1").expect(404);
    const { body: problem } = await remove("WS1").expect(404);
    assert.match(problem.type, /no-such-peer/);
    const { body: blank } = await add({ ...workstation, aeTitle: "MY WS" }).expect(201);
    assert.equal(blank.name, "MY_WS");
    await remove("MY_WS").expect(204);
  });

  it("replaces a peer as a whole, or adds it", async () => {
    const { body: added } = await put("room-3", { ...workstation, callingAeTitle: "US" }).expect(201);
    assert.deepEqual(added, { ...shownWorkstation, name: "room-3", callingAeTitle: "US" });
    const { body: replaced } = await put("room-3", { ...workstation, tls: true }).expect(200);
    assert.deepEqual(replaced, { ...shownWorkstation, name: "room-3", tls: true });
    assert.deepEqual((await get("room-3")).body, replaced);
    await remove("room-3").expect(204);
  });

  it("has each name and each AE title once", async () => {
    await add(workstation).expect(201);
    const answers = [
      await add({ ...workstation, name: "other" }),
      await add({ ...workstation, aeTitle: "OTHER", name: "WS1" }),
      await put("other", workstation),
    ];
    for (const { status, body } of answers) {
      assert.equal(status, 409);
      assert.match(body.type, /peer-exists/);
    }
    await get("other").expect(404);
    await remove("WS1").expect(204);
  });

  it("keeps the headers of a DICOMweb server to itself", async () => {
    const peer = {
      kind: "dicomweb",
      url: "https://other.example/dicom-web/",
      headers: { Authorization: "Bearer xyz" },
    };
    const shown = {
      kind: "dicomweb",
      name: "other",
      url: "https://other.example/dicom-web",
      headerNames: ["Authorization"],
      source: "api",
      overruled: false,
    };
    assert.deepEqual((await add({ ...peer, name: "other" }).expect(201)).body, shown);
    assert.deepEqual((await get("other").expect(200)).body, shown);
    const { text } = await request(server.url).get("/api/peers").expect(200);
    assert.doesNotMatch(text, /xyz/);
    // What is not said again is gone: a secret never goes with a new address by itself.
    const { body } = await put("other", { kind: "dicomweb", url: "https://elsewhere.example" }).expect(200);
    assert.deepEqual(body, { ...shown, url: "https://elsewhere.example", headerNames: [] });
    // The same name may become a peer of the other kind.
    await put("other", workstation).expect(200);
    assert.deepEqual((await get("other")).body, { ...shownWorkstation, name: "other" });
    await remove("other").expect(204);
  });

  it("does not change those of the settings", async () => {
    assert.deepEqual((await get("pacs").expect(200)).body, fixedPeer);
    const answers = [
      await put("pacs", workstation),
      await put("other", { ...workstation, aeTitle: "PACS2" }),
      await add({ ...workstation, name: "pacs" }),
      await add({ ...workstation, aeTitle: "PACS2" }),
      await remove("pacs"),
    ];
    for (const { status, body } of answers) {
      assert.equal(status, 409);
      assert.match(body.type, /peer-fixed/);
    }
  });

  it("says which peers are overruled by those of settings that came later", async (t) => {
    await add(workstation).expect(201);
    await add({ ...workstation, aeTitle: "WS2" }).expect(201);
    const settings = { ...server.shared, HTTP_PORT: "0", DIMSE_PEERS: "WS1@new.example:104,mine=WS2@new.example:104" };
    const other = await startServer(loadConfig(settings), createLog("silent"));
    t.after(() => other.stop());
    const { body } = await request(other.url).get("/api/peers").expect(200);
    assert.deepEqual(
      body.peers.map((peer: { name: string; host: string; source: string; overruled: boolean }) => [
        peer.name,
        peer.host,
        peer.source,
        peer.overruled,
      ]),
      [
        ["WS1", "new.example", "settings", false],
        ["mine", "new.example", "settings", false],
        ["WS1", "ws1.example", "api", true],
        ["WS2", "ws1.example", "api", true],
      ],
    );
    assert.equal((await request(other.url).get("/api/peers/WS1")).body.host, "new.example");
    // The row below can be taken away still.
    await request(other.url).delete("/api/peers/WS1").expect(204);
    await request(other.url).delete("/api/peers/WS1").expect(409);
    await remove("WS2").expect(204);
  });

  it("refuses what is no peer, and says which part", async () => {
    const web = { kind: "dicomweb", name: "w", url: "https://other.example" };
    const cases: readonly (readonly [body: object, about: RegExp])[] = [
      [{}, /kind/],
      [{ ...workstation, kind: "hl7" }, /kind/],
      [{ ...workstation, aeTitle: "" }, /aeTitle/],
      [{ ...workstation, aeTitle: "SEVENTEEN LETTERS" }, /aeTitle/],
      [{ ...workstation, aeTitle: "A\\B" }, /aeTitle/],
      [{ ...workstation, host: "a/b" }, /host/],
      [{ ...workstation, port: 0 }, /port/],
      [{ ...workstation, port: "104" }, /port/],
      [{ ...workstation, name: "a/b" }, /name/],
      [{ ...workstation, ports: 104 }, /ports/],
      [{ ...web, url: "ftp://other.example" }, /url/],
      [{ ...web, url: "https://me:secret@other.example" }, /url/],
      [{ ...web, headers: { Host: "x" } }, /headers/],
      [{ ...web, headers: { A: "x\r\nB: y" } }, /headers/],
      [{ kind: "dicomweb", url: "https://other.example" }, /name/],
    ];
    for (const [body, about] of cases) {
      const { body: problem } = await add(body).expect(400);
      assert.match(problem.detail, about);
      assert.doesNotMatch(problem.detail, /secret/);
    }
    await get("a%2Fb").expect(400);
    const { body } = await request(server.url).get("/api/peers").expect(200);
    assert.equal(body.peers.length, 1);
  });
});
