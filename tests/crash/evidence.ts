/** The objects of an archive as they lie in the folder or the bucket, seen without the code under test. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import path from "node:path";
import { Client } from "minio";
import type { TestS3 } from "../support/s3.ts";

export interface ObjectEvidence {
  /** Size in bytes of every object by its key. */
  list(): Promise<ReadonlyMap<string, number>>;
  /** SHA-256 of an object in hex. */
  sha256(key: string): Promise<string>;
  /** What was begun and has no key: files in tmp/, uploads that were not completed. */
  drafts(): Promise<readonly string[]>;
}

/** Of the store that keeps files. */
export function folderEvidence(folder: string): ObjectEvidence {
  const files = async () => {
    const entries = await readdir(folder, { recursive: true, withFileTypes: true });
    return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name));
  };
  const keyOf = (file: string) => path.relative(folder, file).split(path.sep).join("/");
  return {
    list: async () => {
      const found = new Map<string, number>();
      for (const file of await files()) {
        const key = keyOf(file);
        if (!key.startsWith("tmp/")) found.set(key, (await stat(file)).size);
      }
      return found;
    },
    sha256: (key) => digest(createReadStream(path.join(folder, key))),
    drafts: async () => (await files()).map(keyOf).filter((key) => key.startsWith("tmp/")),
  };
}

/** Of a bucket. */
export function bucketEvidence({ endpoint, accessKey, secretKey, region }: TestS3, bucket: string): ObjectEvidence {
  const { hostname, port } = new URL(endpoint);
  const client = new Client({ endPoint: hostname, port: Number(port), useSSL: false, accessKey, secretKey, region });
  return {
    list: async () => {
      const found = new Map<string, number>();
      for await (const { name, size } of client.listObjectsV2(bucket, "", true)) {
        if (name !== undefined && !name.startsWith("tmp/")) found.set(name, size);
      }
      return found;
    },
    sha256: async (key) => digest(await client.getObject(bucket, key)),
    drafts: async () => {
      const found: string[] = [];
      for await (const { key } of client.listIncompleteUploads(bucket, "", true)) found.push(key);
      return found;
    },
  };
}

async function digest(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of bytes) hash.update(chunk);
  return hash.digest("hex");
}
