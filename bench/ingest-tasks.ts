/** What bench/ingest.ts asks of its client process, and what it answers. */
import { z } from "zod";

/** `load` reads the slices into memory; `stow` stores them with fresh UIDs; `put` puts them into a bucket, plainly. */
export const clientTask = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("load"), files: z.array(z.string()) }),
  z.object({
    kind: z.literal("stow"),
    url: z.string(),
    clients: z.number(),
    /** Instances in one request. */
    perRequest: z.number(),
    seed: z.string(),
  }),
  z.object({
    kind: z.literal("put"),
    endpoint: z.string(),
    accessKey: z.string(),
    secretKey: z.string(),
    region: z.string(),
    bucket: z.string(),
    clients: z.number(),
  }),
]);
export type ClientTask = z.infer<typeof clientTask>;

/** What one task took. */
export const clientAnswer = z.object({ seconds: z.number(), cpuSeconds: z.number() });
