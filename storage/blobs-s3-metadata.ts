/** What an object of a bucket says of itself: headers of an upload in one request, tags of one in parts. */
import { z } from "zod";
import type { BlobMetadata } from "./blobs.ts";

/** Names and values as S3 has them, of `x-amz-meta-*` headers and of tags: what it cannot hold is not among them. */
const named = z.object({
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  kind: z.enum(["instance", "non-patient-instance"]).optional(),
  "sop-class-uid": z.string().optional(),
  "sop-instance-uid": z.string().optional(),
  "series-instance-uid": z.string().optional(),
  "study-instance-uid": z.string().optional(),
});

/** The metadata as an object of S3 carries them. */
export function toNamed(metadata: BlobMetadata | undefined): Record<string, string> {
  if (metadata === undefined) return {};
  const all: Record<keyof z.infer<typeof named>, string | undefined> = {
    sha256: metadata.sha256,
    kind: metadata.kind,
    "sop-class-uid": metadata.sopClassUid,
    "sop-instance-uid": metadata.sopInstanceUid,
    "series-instance-uid": metadata.seriesInstanceUid,
    "study-instance-uid": metadata.studyInstanceUid,
  };
  const known: Record<string, string> = {};
  for (const [name, value] of Object.entries(all)) if (value !== undefined) known[name] = value;
  return known;
}

/** The metadata that headers or tags carry; undefined when they tell no hash, as those of older versions. */
export function fromNamed(carried: unknown): BlobMetadata | undefined {
  const parsed = named.safeParse(carried);
  if (!parsed.success) return undefined;
  const { sha256, kind } = parsed.data;
  return {
    sha256,
    kind,
    sopClassUid: parsed.data["sop-class-uid"],
    sopInstanceUid: parsed.data["sop-instance-uid"],
    seriesInstanceUid: parsed.data["series-instance-uid"],
    studyInstanceUid: parsed.data["study-instance-uid"],
  };
}
