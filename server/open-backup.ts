/** Opens the place of backups: a folder, or a bucket. */
import { realpath, stat } from "node:fs/promises";
import path from "node:path";
import { openFileBlobs } from "../storage/blobs-file.ts";
import { openS3Blobs } from "../storage/blobs-s3.ts";
import type { Blobs } from "../storage/blobs.ts";
import { onTarget } from "./archive/backup-target.ts";
import { bucketOf, type Config } from "./config.ts";
import { ArchiveError } from "./errors.ts";
import type { Log } from "./log.ts";

/**
 * Opens `target`, default BACKUP_TO: a folder that exists, so that a disk that is not mounted is noticed, or
 * `s3://BUCKET`, which is made when it is missing.
 * @throws ArchiveError `storage-unavailable`: one sentence that says why
 */
export async function openBackupTarget(config: Config, log: Log, target = config.BACKUP_TO): Promise<Blobs> {
  if (target === undefined) throw unusable("It is not said where backups are: set BACKUP_TO, or name the target.");
  if (target.startsWith("s3:")) return openBucket(config, log, bucketOf(target));
  const folder = await realpath(target).catch(() => undefined);
  if (folder === undefined || !(await stat(folder)).isDirectory()) {
    throw unusable("The place of the backup is no folder that exists: make it first, or mount its disk.");
  }
  for (const own of [config.DATA_DIR, ...["objects", "postgres"].map((name) => path.join(config.DATA_DIR, name))]) {
    // Under its real name: a link leads to the same data.
    const real = await realpath(own).catch(() => path.resolve(own));
    const isWithin = own !== config.DATA_DIR && folder.startsWith(`${real}${path.sep}`);
    if (folder === real || isWithin) {
      throw unusable("The place of the backup lies among the data of the archive (DATA_DIR): name another folder.");
    }
  }
  return onTarget(() => openFileBlobs({ folder }));
}

function openBucket(config: Config, log: Log, bucket: string | undefined): Promise<Blobs> {
  if (bucket === undefined) throw unusable("The target of the backup is not of the form s3://BUCKET.");
  const endpoint = config.BACKUP_S3_ENDPOINT ?? config.S3_ENDPOINT;
  const accessKey = config.BACKUP_S3_ACCESS_KEY ?? config.S3_ACCESS_KEY;
  const secretKey = config.BACKUP_S3_SECRET_KEY ?? config.S3_SECRET_KEY;
  if (endpoint === undefined || accessKey === undefined || secretKey === undefined) {
    throw unusable("A bucket needs BACKUP_S3_ENDPOINT, BACKUP_S3_ACCESS_KEY and BACKUP_S3_SECRET_KEY.");
  }
  if (endpoint === config.S3_ENDPOINT && bucket === config.S3_BUCKET) {
    throw unusable("The target of the backup is the bucket of the archive: name another one.");
  }
  const region = config.BACKUP_S3_REGION ?? config.S3_REGION;
  return onTarget(() => openS3Blobs({ endpoint, bucket, accessKey, secretKey, region, log }));
}

function unusable(sentence: string): ArchiveError {
  return new ArchiveError("storage-unavailable", sentence);
}
