/**
 * What a backup looks like: the keys of its objects, and the manifest of a snapshot.
 *
 *     objects/3f/3fa2...                     the bytes of an object of the archive, under its key
 *     snapshots/NAME/tables/study            the rows of a table: text format of COPY, zstd
 *     snapshots/NAME/objects                 the objects that the rows need, a line each: key, SHA-256, bytes; zstd
 *     snapshots/NAME/manifest-SHA256         written last: without it there is no snapshot
 *     snapshots/NAME/verified-TIME           what a verification found
 *     locks/...                              who works at the backup
 */
import { createHash } from "node:crypto";
import { z } from "zod";
import { ArchiveError } from "../errors.ts";

export const objectsRoot = "objects/";
export const snapshotsRoot = "snapshots/";
export const locksRoot = "locks/";

/** A file of a snapshot; the SHA-256 is that of the file as it lies there. */
const file = z.object({
  key: z.string(),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
  byteLength: z.int().min(0),
});
const table = file.extend({
  name: z.string(),
  columns: z.array(z.string()),
  rows: z.int().min(0),
});

/** Everything that is known of a snapshot. */
const manifestSchema = z.object({
  format: z.literal(1),
  snapshot: z.string(),
  /** Whose backup it is. */
  archiveId: z.uuid(),
  /** Its line, and those that it goes on from (server/archive/backup-lines.ts); absent in older ones. */
  line: z.uuid().optional(),
  origins: z
    .array(z.object({ line: z.uuid(), until: z.iso.datetime() }))
    .readonly()
    .optional(),
  /** The moment that it shows. */
  takenAt: z.iso.datetime(),
  finishedAt: z.iso.datetime(),
  /** Version of Noctis. */
  version: z.string(),
  migrations: z.array(z.string()),
  tables: z.array(table),
  sequences: z.array(z.object({ name: z.string(), lastValue: z.string().regex(/^\d+$/), isCalled: z.boolean() })),
  /** The list of objects, their number, and the sum of their bytes. */
  objects: file.extend({ count: z.int().min(0), totalBytes: z.int().min(0) }),
  /** Objects that the archive did not have, or not with the bytes that were stored, when it was made; the first ones. */
  faults: z.array(z.object({ key: z.string(), fault: z.enum(["missing", "wrong-bytes"]) })),
  faultCount: z.int().min(0),
});

export type Manifest = z.infer<typeof manifestSchema>;
export type SnapshotFile = z.infer<typeof file>;

/** Faults that a manifest names. */
export const faultsNamed = 1000;

const namePattern = /^(\d{4}-\d\d-\d\d)t(\d\d)-(\d\d)-(\d\d)-(\d{3})z$/;

/** `2026-11-20t02-30-00-000z`: in UTC, so that names sort by time. */
export function snapshotName(takenAt: Date): string {
  return takenAt.toISOString().toLowerCase().replace(/[:.]/g, "-");
}

/** The moment that a name tells; undefined when it is no name of a snapshot. */
export function momentOf(name: string): Date | undefined {
  const [, day, hours, minutes, seconds, fraction] = namePattern.exec(name) ?? [];
  if (day === undefined) return undefined;
  const moment = new Date(`${day}T${hours}:${minutes}:${seconds}.${fraction}Z`);
  return Number.isNaN(moment.getTime()) ? undefined : moment;
}

/** Keys have no underscores. */
export function tableKey(snapshot: string, name: string): string {
  return `${snapshotsRoot}${snapshot}/tables/${name.replaceAll("_", "-")}`;
}

export function objectListKey(snapshot: string): string {
  return `${snapshotsRoot}${snapshot}/objects`;
}

export function verifiedKey(snapshot: string, at: Date): string {
  return `${snapshotsRoot}${snapshot}/verified-${snapshotName(at)}`;
}

/** A manifest as it is written, under a key that tells its SHA-256. */
export function manifestFile(manifest: Manifest): { readonly key: string; readonly bytes: Buffer } {
  const bytes = Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`);
  return { key: `${snapshotsRoot}${manifest.snapshot}/manifest-${sha256Of(bytes)}`, bytes };
}

/** The SHA-256 in the key of a manifest; undefined when it is none of this snapshot. */
export function manifestHash(snapshot: string, key: string): string | undefined {
  const root = `${snapshotsRoot}${snapshot}/manifest-`;
  return key.startsWith(root) ? key.slice(root.length) : undefined;
}

/** @throws ArchiveError `backup-damaged`, `backup-newer` */
export function parseManifest(snapshot: string, bytes: Buffer, sha256: string): Manifest {
  const damaged = new ArchiveError("backup-damaged", `The manifest of the snapshot ${snapshot} is damaged.`);
  if (sha256Of(bytes) !== sha256) throw damaged;
  const { format }: { format?: unknown } = JSON.parse(bytes.toString("utf8"));
  if (format !== 1) {
    throw new ArchiveError("backup-newer", `The snapshot ${snapshot} was made by a newer Noctis: use that version.`);
  }
  const parsed = manifestSchema.safeParse(JSON.parse(bytes.toString("utf8")));
  if (!parsed.success || parsed.data.snapshot !== snapshot) throw damaged;
  return parsed.data;
}

function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
