/** A client of the `minio` package beside ours, for what the tests look at behind the back of the archive. */
import { Client } from "minio";
import type { TestS3 } from "./s3.ts";

/** With the credentials of the test server. */
export function clientOf({ endpoint, accessKey, secretKey, region }: TestS3): Client {
  const { hostname, port, protocol } = new URL(endpoint);
  const useSSL = protocol === "https:";
  return new Client({ endPoint: hostname, port: Number(port), useSSL, accessKey, secretKey, region });
}
