/** DIMSE over TLS, both ways: who is trusted, what changes without a restart, and how faults are told. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect as openSocket } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { connect as openSecure, type ConnectionOptions } from "node:tls";
import { promisify } from "node:util";
import { loadConfig } from "../../server/config.ts";
import { certificateEnd, openTls, type TlsFiles } from "../../server/dimse/tls.ts";
import { connectBy } from "../../server/open-dimse.ts";
import { makeCertificate } from "../support/certificate.ts";
import { startStorescp } from "../support/dcmtk.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";

const run = promisify(execFile);
const contexts = [{ abstractSyntaxUid: "1.2.840.10008.1.1", transferSyntaxUids: ["1.2.840.10008.1.2"] }];
const silent = { warn: () => undefined };

describe("DIMSE over TLS", requirement("openssl"), () => {
  let folder: string;
  let server: TestServer;
  const file = (name: string) => path.join(folder, name);
  /** Settings of TLS by names of files in the folder. */
  const tlsOf = (name: string, trusted: string) => ({
    DIMSE_TLS_KEY: file(`${name}.key`),
    DIMSE_TLS_CERT: file(`${name}.cert`),
    DIMSE_TLS_CA: file(`${trusted}.cert`),
  });

  /** Opens and releases an association over TLS, with settings of the side that connects. */
  async function greet(port: number, settings: Readonly<Record<string, string>>, host = "127.0.0.1") {
    const connect = connectBy(loadConfig(settings), silent);
    const association = await connect({ aeTitle: "NOCTIS", host, port, tls: {} }, { callingAeTitle: "CT1", contexts });
    assert.equal(association.contexts.size, 1);
    await association.release();
  }

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-tls-"));
    for (const name of ["server", "modality", "stranger", "later"]) {
      const { key, cert } = await makeCertificate();
      await writeFile(file(`${name}.key`), key);
      await writeFile(file(`${name}.cert`), cert);
    }
    server = await startTestServer({ DIMSE_TLS_PORT: "0", DIMSE_PLAIN: "false", ...tlsOf("server", "modality") });
  });
  after(async () => {
    await server.stop();
    await rm(folder, { recursive: true });
  });

  it("takes whoever it trusts, who trusts it, and has no plain port when that is off", async () => {
    assert.equal(server.dimsePort, 0);
    await greet(server.dimseTlsPort, tlsOf("modality", "server"));
  });

  it("tells a client that does not trust it, or speaks to another host, in words", async () => {
    const unreachable = (settings: Readonly<Record<string, string>>, words: RegExp, host?: string) =>
      assert.rejects(greet(server.dimseTlsPort, settings, host), words);
    await unreachable(tlsOf("modality", "stranger"), /certificate is not trusted \(DIMSE_TLS_CA\)/);
    await unreachable({}, /certificate is not trusted/);
    await unreachable(tlsOf("modality", "server"), /does not name its host \(DIMSE_TLS_CHECK_HOST\)/, "localhost");
    await greet(server.dimseTlsPort, { ...tlsOf("modality", "server"), DIMSE_TLS_CHECK_HOST: "false" }, "localhost");
  });

  it("refuses clients without a certificate, and with one that it does not trust", async () => {
    await assert.rejects(
      greet(server.dimseTlsPort, { DIMSE_TLS_CA: file("server.cert") }),
      /closed the connection|aborted/,
    );
    await assert.rejects(
      greet(server.dimseTlsPort, tlsOf("stranger", "server")),
      /closed the connection|cannot be reached/,
    );
  });

  it("speaks TLS 1.2 and 1.3 with forward secrecy, and nothing older or weaker", async () => {
    const handshake = async (options: ConnectionOptions) => {
      const own = { key: await readFile(file("modality.key")), cert: await readFile(file("modality.cert")) };
      const address = { port: server.dimseTlsPort, host: "127.0.0.1", rejectUnauthorized: false };
      const socket = openSecure({ ...address, ...own, ...options });
      try {
        await once(socket, "secureConnect");
        return [socket.getProtocol(), socket.getCipher().name];
      } finally {
        socket.on("error", () => undefined);
        socket.destroy();
      }
    };
    assert.deepEqual(await handshake({}), ["TLSv1.3", "TLS_AES_256_GCM_SHA384"]);
    assert.deepEqual(await handshake({ maxVersion: "TLSv1.2" }), ["TLSv1.2", "ECDHE-ECDSA-AES256-GCM-SHA384"]);
    await assert.rejects(
      handshake({ minVersion: "TLSv1.1", maxVersion: "TLSv1.1", ciphers: "ALL@SECLEVEL=0" }),
      /version/i,
    );
    await assert.rejects(handshake({ maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" }), /handshake failure/);
  });

  it("takes new certificates without a restart, and keeps the ones it has when the new ones are no use", async () => {
    const names = ["key", "cert"] as const;
    for (const name of names) await copyFile(file(`server.${name}`), file(`changing.${name}`));
    const changing = await startTestServer({ DIMSE_TLS_PORT: "0", ...tlsOf("changing", "modality") });
    try {
      await greet(changing.dimseTlsPort, tlsOf("modality", "server"));
      await copyFile(file("later.key"), file("changing.key"));
      await greet(changing.dimseTlsPort, tlsOf("modality", "server"));
      await copyFile(file("later.cert"), file("changing.cert"));
      await greet(changing.dimseTlsPort, tlsOf("modality", "later"));
      await assert.rejects(greet(changing.dimseTlsPort, tlsOf("modality", "server")), /not trusted/);
      await rm(file("changing.key"));
      await greet(changing.dimseTlsPort, tlsOf("modality", "later"));
    } finally {
      await changing.stop();
    }
  });

  it("asks for no certificate, or takes none but no other, when told so", async () => {
    const settings = { DIMSE_TLS_PORT: "0", ...tlsOf("server", "modality") };
    const none = await startTestServer({ ...settings, DIMSE_TLS_CLIENT_CERT: "none" });
    const optional = await startTestServer({ ...settings, DIMSE_TLS_CLIENT_CERT: "optional" });
    try {
      await greet(none.dimseTlsPort, { DIMSE_TLS_CA: file("server.cert") });
      await greet(optional.dimseTlsPort, { DIMSE_TLS_CA: file("server.cert") });
      await greet(optional.dimseTlsPort, tlsOf("modality", "server"));
      await assert.rejects(greet(optional.dimseTlsPort, tlsOf("stranger", "server")), /closed the connection/);
    } finally {
      await none.stop();
      await optional.stop();
    }
  });

  it("says which file cannot be used", async () => {
    const faultOf = (changed: Partial<TlsFiles>, message: RegExp) => {
      const files = { key: file("server.key"), cert: file("server.cert"), ca: file("modality.cert"), ...changed };
      assert.throws(() => openTls({ files, onFault: silent.warn }), { code: "cannot-listen", message });
    };
    await writeFile(file("empty"), "");
    faultOf({ key: file("none") }, /file of DIMSE_TLS_KEY cannot be used: there is none\./);
    faultOf({ key: file("empty") }, /DIMSE_TLS_KEY cannot be used: it has no private key/);
    faultOf({ key: file("later.key") }, /DIMSE_TLS_KEY cannot be used: it is not the key of the certificate/);
    faultOf({ cert: file("server.key") }, /DIMSE_TLS_CERT cannot be used: it has no certificate/);
    faultOf({ ca: file("empty") }, /DIMSE_TLS_CA cannot be used: it has no certificate/);
    faultOf({ ca: folder }, /DIMSE_TLS_CA cannot be used: the system says EISDIR/);
    const settings = { DIMSE_TLS_PORT: "0", ...tlsOf("server", "modality"), DIMSE_TLS_KEY: file("none") };
    await assert.rejects(startTestServer(settings), /DIMSE_TLS_KEY cannot be used/);
  });

  it("knows when its certificate ends", async () => {
    const files = { key: file("server.key"), cert: file("server.cert") };
    const end = certificateEnd(openTls({ files, onFault: silent.warn }));
    const { stdout } = await run("openssl", ["x509", "-in", files.cert, "-noout", "-enddate"]);
    assert.equal(end?.getTime(), Date.parse(stdout.replace("notAfter=", "")));
    assert.equal(certificateEnd(openTls({ files: {}, onFault: silent.warn })), undefined);
  });

  it("stops while connections say nothing", async () => {
    const stopping = await startTestServer({ DIMSE_TLS_PORT: "0", ...tlsOf("server", "modality") });
    const socket = openSocket(stopping.dimseTlsPort, "127.0.0.1").on("error", () => undefined);
    await once(socket, "connect");
    const closed = once(socket, "close");
    socket.resume();
    await stopping.stop();
    await closed;
  });

  it("asks storescp of DCMTK", requirement("dcmtk"), async () => {
    const tls = ["+tls", file("stranger.key"), file("stranger.cert"), "+cf", file("modality.cert")];
    const storescp = await startStorescp(tls);
    try {
      await greet(storescp.port, tlsOf("modality", "stranger"));
      await assert.rejects(greet(storescp.port, tlsOf("modality", "server")), /not trusted/);
    } finally {
      await storescp.stop();
    }
  });

  it("is asked by echoscu of DCMTK", requirement("dcmtk"), async () => {
    const tls = ["+tls", file("modality.key"), file("modality.cert"), "+cf", file("server.cert")];
    const arguments_ = ["-v", ...tls, "-aec", "NOCTIS", "127.0.0.1", String(server.dimseTlsPort)];
    const { stdout, stderr } = await run("echoscu", arguments_);
    assert.match(`${stdout}${stderr}`, /Received Echo Response \(Success\)/);
    const untrusted = ["+tls", file("stranger.key"), file("stranger.cert"), ...arguments_.slice(4)];
    await assert.rejects(run("echoscu", untrusted));
  });
});
