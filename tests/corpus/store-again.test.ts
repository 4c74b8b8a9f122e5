/** Instances of the corpus, retrieved as metadata and bulk data and stored again under a new UID: nothing is lost. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { after, before, describe, it } from "node:test";
import { newUid } from "../../server/dicom/uid.ts";
import { readMultipart } from "../../server/http/multipart-reader.ts";
import { parseMediaType } from "../../server/http/media-type.ts";
import { first, items, type JsonDataSet, toDataSet, toDataSets } from "../support/dicom-json.ts";
import { relatedBody, type RelatedPart } from "../support/related.ts";
import { requirement } from "../support/require.ts";
import { startTestServer, type TestServer } from "../support/server.ts";
import { readableInstances } from "./files.ts";

const jsonType = "application/dicom+json";
const largest = 4 * 2 ** 20;
const mostOfOneSyntax = 4;
/** Its frame has the boxes of a JP2 file, which PS3.5 8.2.4 forbids: what is stored again has none. */
const boxed = "sc/gdcmj2k_textgbr.dcm";

/** The BulkDataURIs of a data set and its items. */
function* bulkDataUris(dataSet: JsonDataSet): Generator<string> {
  for (const [tag, attribute] of Object.entries(dataSet)) {
    const uri: unknown = attribute["BulkDataURI"];
    if (typeof uri === "string") yield uri;
    if (attribute.vr === "SQ") for (const item of items(dataSet, tag)) yield* bulkDataUris(item);
  }
}

/** The parts that a BulkDataURI gives: one, or one a frame. */
async function partsOf(uri: string): Promise<RelatedPart[]> {
  const response = await fetch(uri, { headers: { Accept: "*/*" } });
  assert.equal(response.status, 200, uri);
  const contentType = response.headers.get("content-type") ?? "";
  const body = Buffer.from(await response.arrayBuffer());
  const { type, params } = parseMediaType(contentType) ?? { type: "", params: new Map<string, string>() };
  if (type !== "multipart/related")
    return [{ headers: { "Content-Type": contentType, "Content-Location": uri }, body }];
  const parts: RelatedPart[] = [];
  for await (const part of readMultipart(Readable.from([body]), params.get("boundary") ?? "")) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of part.body) chunks.push(chunk);
    const partType = part.headers.get("content-type") ?? "";
    parts.push({ headers: { "Content-Type": partType, "Content-Location": uri }, body: Buffer.concat(chunks) });
  }
  return parts;
}

/** What must be the same: all but the UID, the URIs, and tables that say where fragments lie. */
function comparable(dataSet: JsonDataSet): string {
  const { "00080018": _, "7FE00001": _offsets, "7FE00002": _lengths, "00080005": _charset, ...others } = dataSet;
  const pixelData = others["7FE00010"];
  if (pixelData) others["7FE00010"] = { vr: "OB" };
  return JSON.stringify(others).replaceAll(/"BulkDataURI":"[^"]*"/g, '"BulkDataURI":""');
}

describe("instances of the corpus, stored again from metadata and bulk data", requirement("corpus"), () => {
  let server: TestServer;
  before(async () => {
    server = await startTestServer();
  });
  after(() => server.stop());

  const send = (contentType: string, body: Buffer) =>
    fetch(`${server.url}/dicom-web/studies`, {
      method: "POST",
      headers: { "Content-Type": contentType },
      body: new Uint8Array(body),
    });

  async function metadataAt(response: Response): Promise<{ url: string; metadata: JsonDataSet }> {
    const answer = toDataSet(await response.json());
    const url = String(first(items(answer, "00081199")[0], "00081190"));
    const [metadata] = toDataSets(await (await fetch(`${url}/metadata`)).json());
    assert.ok(metadata);
    return { url, metadata };
  }

  it("say the same, and have the same frames and bulk data", async (t) => {
    const counts = new Map<string, number>();
    for (const { name, path, transferSyntaxUid } of await readableInstances()) {
      if ((counts.get(transferSyntaxUid) ?? 0) >= mostOfOneSyntax) continue;
      const file = await readFile(path);
      if (file.length > largest) continue;
      const original = await send("application/dicom", file);
      if (original.status !== 200) continue;
      const { metadata } = await metadataAt(original);
      const syntax = String(first(metadata, "00083002"));
      const parts: RelatedPart[] = [];
      for (const uri of bulkDataUris(metadata)) parts.push(...(await partsOf(uri)));
      const changed = { ...metadata, "00080018": { vr: "UI", Value: [newUid()] } };
      const metadataPart = { headers: { "Content-Type": jsonType }, body: JSON.stringify([changed]) };
      const { contentType, body } = relatedBody([metadataPart, ...parts], jsonType);
      const stored = await send(contentType, body);
      assert.equal(stored.status, 200, `${name}: ${await stored.clone().text()}`);
      const again = await metadataAt(stored);
      const { "00083002": nowIn, ...now } = again.metadata;
      const { "00083002": wasIn, ...was } = metadata;
      const compressed = /transfer-syntax="?1\.2\.840\.10008\.1\.2\.([4-9]|1\.98)/;
      const isNative = !parts.some(({ headers }) => compressed.test(headers["Content-Type"] ?? ""));
      assert.deepEqual(nowIn?.Value, isNative ? ["1.2.840.10008.1.2.1"] : wasIn?.Value, name);
      assert.equal(comparable(now), comparable(was), name);
      counts.set(syntax, (counts.get(syntax) ?? 0) + 1);
      if (name === boxed) continue;
      const partsAgain: RelatedPart[] = [];
      for (const uri of bulkDataUris(again.metadata)) partsAgain.push(...(await partsOf(uri)));
      assert.deepEqual(
        partsAgain.map((part) => part.body),
        parts.map((part) =>
          typeof part.body === "string" || part.body.length % 2 === 0 || !isNative
            ? part.body
            : Buffer.concat([part.body, Buffer.alloc(1)]),
        ),
        name,
      );
    }
    t.diagnostic([...counts].map(([uid, count]) => `${count} of ${uid}`).join(", "));
    assert.ok(counts.size > 15);
  });
});
