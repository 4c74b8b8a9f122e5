/** Answers of many parts, read for tests. */
import assert from "node:assert/strict";
import { parseMediaType } from "../../server/http/media-type.ts";
import { readMultipart } from "../../server/http/multipart-reader.ts";

export interface ReceivedPart {
  readonly contentType: string;
  readonly location: string | undefined;
  readonly bytes: Buffer;
}

/** The parts of an answer of 200 that is multipart/related. */
export async function partsOf(response: Response): Promise<ReceivedPart[]> {
  const type = parseMediaType(response.headers.get("content-type") ?? "");
  assert.equal(response.status, 200, response.ok ? "" : await response.text());
  assert.equal(type?.type, "multipart/related");
  assert.ok(response.body);
  const found: ReceivedPart[] = [];
  for await (const { headers, body } of readMultipart(response.body, type?.params.get("boundary") ?? "")) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    found.push({
      contentType: headers.get("content-type") ?? "",
      location: headers.get("content-location"),
      bytes: Buffer.concat(chunks),
    });
  }
  return found;
}
