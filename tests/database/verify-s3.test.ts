/** Verification on a real S3 server. */
import { after, before, describe } from "node:test";
import { Client } from "minio";
import { openS3Blobs } from "../../storage/blobs-s3.ts";
import { freshBucket, s3Requirement, startS3, type TestS3 } from "../support/s3.ts";
import { verifications } from "./verifications.ts";

describe("verification on S3", s3Requirement(), () => {
  let s3: TestS3;
  before(async () => {
    s3 = await startS3();
  });
  after(() => s3.stop());

  verifications(async (t) => {
    const bucket = freshBucket();
    const blobs = await openS3Blobs({ ...s3, bucket });
    t.after(() => blobs.close());
    const { hostname, port } = new URL(s3.endpoint);
    const client = new Client({ ...s3, endPoint: hostname, port: Number(port), useSSL: false, pathStyle: true });
    return { blobs, overwrite: (key, bytes) => client.putObject(bucket, key, bytes) };
  });
});
