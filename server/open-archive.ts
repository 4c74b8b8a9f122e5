/** The archive without doors: database, object store and use cases, for the server and for commands that need no server. */
import path from "node:path";
import type { Knex } from "knex";
import { openFileBlobs } from "../storage/blobs-file.ts";
import { openS3Blobs } from "../storage/blobs-s3.ts";
import type { Blobs } from "../storage/blobs.ts";
import { createCatalog } from "../storage/catalog.ts";
import type { WithLock } from "../storage/catalog-locks.ts";
import { connectDatabase } from "../storage/database.ts";
import { migrate } from "../storage/migrate.ts";
import { withRoom } from "../storage/room.ts";
import { joinEmbeddedPostgres, startEmbeddedPostgres } from "../storage/postgres-embedded.ts";
import { type Archive, createArchive } from "./archive/archive.ts";
import { parsePeerAddress } from "./archive/peer-address.ts";
import { readStudyMatch } from "./archive/study-match.ts";
import type { BackupSettings } from "./archive/backups.ts";
import { parseKeepRule } from "./archive/backup-keep.ts";
import type { Config } from "./config.ts";
import { diskFault, makeDataFolder } from "./data-folder.ts";
import type { Log } from "./log.ts";
import { openBackupTarget } from "./open-backup.ts";

/** Both memories, open. */
export interface Storage {
  readonly knex: Knex;
  readonly blobs: Blobs;
  /** Closes both, and stops the embedded PostgreSQL when it was started for this. May be called twice. */
  readonly close: () => Promise<void>;
}

/** An archive, open. */
export interface OpenArchive extends Storage {
  readonly archive: Archive;
  readonly withLock: WithLock;
}

export interface OpenOptions {
  /** Whether to work beside a server that runs the embedded PostgreSQL already; otherwise that is an error. */
  readonly beside?: boolean;
  /** What its connections to PostgreSQL call themselves; default `noctis`. */
  readonly applicationName?: string;
}

/**
 * Opens what the settings name. The schema of the database is not touched.
 * @throws ArchiveError when PostgreSQL or the object store cannot be had: one sentence that says which
 */
export async function openStorage(config: Config, log: Log, options: OpenOptions = {}): Promise<Storage> {
  const { beside = false, applicationName } = options;
  const opened: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (let last = opened.pop(); last; last = opened.pop()) await last();
  };
  try {
    if (config.DATABASE_URL === undefined || config.S3_ENDPOINT === undefined) await makeDataFolder(config.DATA_DIR);
    let url = config.DATABASE_URL;
    if (url === undefined) {
      const embedded = { folder: path.join(config.DATA_DIR, "postgres"), log };
      const starting = beside ? joinEmbeddedPostgres(embedded) : startEmbeddedPostgres(embedded);
      const postgres = await starting.catch((error: unknown) => {
        throw diskFault(config.DATA_DIR, error);
      });
      opened.push(() => postgres.stop());
      url = postgres.connectionString;
    }
    const knex = await connectDatabase({
      url,
      poolSize: config.DATABASE_POOL,
      log,
      ...(applicationName !== undefined && { applicationName }),
    });
    opened.push(() => knex.destroy());
    const blobs = await openBlobs(config, log);
    opened.push(() => blobs.close());
    return { knex, blobs, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Opens the archive, and brings the schema of its database up to the code. @throws as `openStorage` and `migrate` */
export async function openArchive(config: Config, log: Log, options: OpenOptions = {}): Promise<OpenArchive> {
  const storage = await openStorage(config, log, options);
  try {
    const { knex, blobs } = storage;
    const applied = await migrate(knex);
    if (applied.length > 0) log.info({ migrations: applied }, "migrations applied");
    const catalog = createCatalog(knex, (query) => readStudyMatch(query));
    const { DUPLICATES: duplicates, REMOVED_KEEP_DAYS: removedKeepDays, CHANGES_KEEP_DAYS: changesKeepDays } = config;
    const archive = createArchive({
      blobs,
      catalog,
      log,
      duplicates,
      removedKeepDays,
      changesKeepDays,
      ...(config.STORAGE_CAPACITY_GB !== undefined && { capacityBytes: config.STORAGE_CAPACITY_GB * 1e9 }),
      retentionMaxPercent: config.RETENTION_MAX_PERCENT,
      jobsKeepDays: config.JOBS_KEEP_DAYS,
      retentionEveryMinutes: config.RETENTION_EVERY,
      peers: config.DIMSE_PEERS.flatMap((address) => parsePeerAddress(address) ?? []),
      backups: backupSettings(config, log),
      quarantine: {
        isOn: config.QUARANTINE,
        megabytes: config.QUARANTINE_MAX_MB,
        days: config.QUARANTINE_KEEP_DAYS,
      },
      verification: { everyDays: config.VERIFY_EVERY_DAYS, removeOrphans: config.VERIFY_ORPHANS === "remove" },
    });
    return { ...storage, archive, withLock: catalog.withLock };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

function backupSettings(config: Config, log: Log): BackupSettings {
  const { BACKUP_AT: times = [], BACKUP_KEEP: keep, BACKUP_TO: to } = config;
  return {
    times,
    keep: parseKeepRule(keep),
    openTarget: to === undefined ? undefined : () => openBackupTarget(config, log),
  };
}

async function openBlobs(config: Config, log: Log): Promise<Blobs> {
  // Those of the disks that are on this machine: the objects, and the rows of the PostgreSQL of its own.
  const folders = [
    ...(config.S3_ENDPOINT === undefined ? ["objects"] : []),
    ...(config.DATABASE_URL === undefined ? ["postgres"] : []),
  ].map((name) => path.join(config.DATA_DIR, name));
  return withRoom(await openStore(config, log), { folders, reserve: config.MIN_FREE_MB * 2 ** 20, log });
}

function openStore(config: Config, log: Log): Promise<Blobs> {
  const { S3_ENDPOINT: endpoint, S3_BUCKET: bucket, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey } = config;
  if (endpoint === undefined || accessKey === undefined || secretKey === undefined) {
    return openFileBlobs({ folder: path.join(config.DATA_DIR, "objects") });
  }
  const { S3_REGION: region, S3_TIMEOUT: seconds, OBJECT_CACHE_MB: cacheMegabytes } = config;
  const limits = { silence: seconds * 1000, cacheBytes: cacheMegabytes * 1_000_000 };
  return openS3Blobs({ endpoint, bucket, accessKey, secretKey, region, ...limits, log });
}
