/** Blobs in an S3 bucket over TLS: whom it trusts, and that the store can tell bytes that changed on the way. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { ArchiveError } from "../../server/errors.ts";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import { makeCertificate } from "../support/certificate.ts";
import { startFakeS3 } from "../support/fake-s3.ts";
import { requirement } from "../support/require.ts";

const partLength = 8 * 1024 * 1024;

describe("blobs: S3 over TLS", requirement("openssl"), () => {
  it("says in one sentence that the certificate is not trusted, and sends the hash of every body to one that is", async (t) => {
    const hashes: unknown[] = [];
    const tls = await makeCertificate();
    const server = await startFakeS3(
      partLength,
      (call, { headers }) => {
        if (call === "put" || call === "part") hashes.push(headers["x-amz-content-sha256"]);
        return undefined;
      },
      tls,
    );
    t.after(server.stop);
    const options = { endpoint: server.endpoint, bucket: "noctis", accessKey: "key", secretKey: "secret" };
    await assert.rejects(openS3Blobs(options), (error) => {
      assert.ok(error instanceof ArchiveError);
      assert.equal(error.message, "The certificate of the object store is not one that is trusted.");
      return true;
    });
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, tls.cert]);
    t.after(() => setDefaultCACertificates(trusted));
    const blobs = await openS3Blobs(options);
    t.after(() => blobs.close());
    const [small, part] = [Buffer.from("small"), Buffer.alloc(partLength)];
    for (const bytes of [small, part]) {
      await blobs.put(
        (async function* () {
          yield bytes;
        })(),
      );
    }
    assert.deepEqual(
      hashes,
      [small, part].map((bytes) => createHash("sha256").update(bytes).digest("hex")),
    );
  });
});
