/** An S3 server that keeps nothing, and fails as a test tells it to. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { Certificate } from "./certificate.ts";

/** What is asked of it. */
export type S3Call = "put" | "begin" | "part" | "complete" | "abort" | "head" | "remove" | "other";

/** Answers a call by itself; undefined leaves it to the fake, which lets it succeed. */
export type S3Answer = (call: S3Call, request: IncomingMessage, response: ServerResponse) => unknown;

export interface FakeS3 {
  readonly endpoint: string;
  /** Every call so far, in their order. */
  readonly calls: readonly S3Call[];
  readonly stop: () => Promise<void>;
}

/** Starts it, over TLS when it has a certificate. A HEAD tells `byteLength` bytes. */
export async function startFakeS3(
  byteLength: number,
  answer: S3Answer = () => undefined,
  tls?: Certificate,
): Promise<FakeS3> {
  const calls: S3Call[] = [];
  const handle: RequestListener = (request, response) => {
    const call = callOf(request);
    calls.push(call);
    if (answer(call, request, response) !== undefined) return;
    request.resume().on("end", () => succeed(call, byteLength, response));
  };
  const server = tls ? createSecureServer(tls, handle) : createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const address = server.address();
  assert.ok(address !== null && typeof address === "object");
  return {
    endpoint: `${tls ? "https" : "http"}://127.0.0.1:${address.port}`,
    calls,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function callOf({ method, url = "" }: IncomingMessage): S3Call {
  const { pathname, searchParams } = new URL(url, "http://s3");
  if (pathname.split("/").length < 3) return "other";
  if (method === "PUT") return searchParams.has("partNumber") ? "part" : searchParams.has("tagging") ? "other" : "put";
  if (method === "POST") return searchParams.has("uploads") ? "begin" : "complete";
  if (method === "DELETE") return searchParams.has("uploadId") ? "abort" : "remove";
  return method === "HEAD" ? "head" : "other";
}

function succeed(call: S3Call, byteLength: number, response: ServerResponse): void {
  if (call === "begin") {
    response.end("<InitiateMultipartUploadResult><UploadId>upload</UploadId></InitiateMultipartUploadResult>");
  } else if (call === "complete") {
    const where = "<Location>x</Location><Bucket>b</Bucket><Key>k</Key><ETag>e</ETag>";
    response.end(`<CompleteMultipartUploadResult>${where}</CompleteMultipartUploadResult>`);
  } else if (call === "head") {
    response
      .writeHead(200, { "content-length": byteLength, "last-modified": new Date().toUTCString(), etag: "e" })
      .end();
  } else {
    response.writeHead(200, { etag: "e" }).end();
  }
}
