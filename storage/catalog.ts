/** The catalog: every question that the archive asks PostgreSQL. Rows only; what they mean is the archive's business. */
import type { Knex } from "knex";
import { type BackupCatalog, createBackupCatalog } from "./catalog-backups.ts";
import { type ChangeCatalog, createChangeCatalog } from "./catalog-changes.ts";
import { commitInstances, type CommitOptions } from "./catalog-commit.ts";
import { knownSeries } from "./catalog-commit-quick.ts";
import { type CommitmentCatalog, createCommitmentCatalog } from "./catalog-commitment.ts";
import { type CommitmentReportCatalog, createCommitmentReportCatalog } from "./catalog-commitment-reports.ts";
import { type ConflictCatalog, createConflictCatalog } from "./catalog-conflict-list.ts";
import type { ReadStudyMatch } from "./catalog-held.ts";
import { createHoldCatalog, type HoldCatalog } from "./catalog-holds.ts";
import { createQuarantineCatalog, type QuarantineCatalog } from "./catalog-quarantine.ts";
import { createRemovalCatalog, type RemovalCatalog } from "./catalog-removals.ts";
import { createReindexCatalog, type ReindexCatalog } from "./catalog-reindex.ts";
import { createIntegrityCatalog, type IntegrityCatalog } from "./catalog-integrity.ts";
import { createForwardingCatalog, type ForwardingCatalog } from "./catalog-forwarding.ts";
import { createJobCatalog, type JobCatalog } from "./catalog-jobs.ts";
import { createLocks, type WithLock } from "./catalog-locks.ts";
import { createNameKeysCatalog, type NameKeysCatalog } from "./catalog-name-keys.ts";
import { createNonPatientCatalog, type NonPatientCatalog } from "./catalog-non-patient.ts";
import {
  findBulkData,
  findBulkDataPaths,
  findInstances,
  findSeries,
  findTransferSyntaxes,
  presentInstances,
  type InstanceRow,
  readMetadata,
  type SeriesRow,
  type Selector,
} from "./catalog-read.ts";
import { indexBatch } from "./catalog-query-tag-index.ts";
import type { KnownTags, ReadTagValues } from "./catalog-query-tag-values.ts";
import {
  addQueryTags,
  listQueryTagErrors,
  listQueryTags,
  type QueryTagDefinition,
  type QueryTagError,
  type QueryTagState,
  removeQueryTag,
} from "./catalog-query-tags.ts";
import { createPeerCatalog, type PeerCatalog } from "./catalog-peers.ts";
import { createRetentionCatalog, type RetentionCatalog } from "./catalog-retention.ts";
import { createSelectionCatalog, type SelectionCatalog } from "./catalog-selection.ts";
import { searchCatalog, type Search, type SearchResult } from "./catalog-search.ts";
import type { CommitOutcome, InstanceRecord } from "./catalog-records.ts";
import { createWebhookCatalog, type WebhookCatalog } from "./catalog-webhooks.ts";
import { databaseError } from "./database-error.ts";

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface Catalog {
  /** Makes the instances existent in one transaction; outcomes in the order of `records`. */
  commit(
    records: readonly InstanceRecord[],
    options?: Omit<CommitOptions, "readMatch">,
  ): Promise<readonly CommitOutcome[]>;
  /** The matches of a search in its order; the first page of them is read already. */
  search(search: Search): Promise<SearchResult>;
  /** The series that `selector` names, without their instances. */
  findSeries(selector: Selector): Promise<readonly SeriesRow[]>;
  /**
   * The instances that `selector` names, in series and instance order, a page at most at a time in memory.
   * @param series what `findSeries` gave for the same selector, so that it is not asked again
   */
  findInstances(selector: Selector, series?: readonly SeriesRow[]): AsyncIterable<InstanceRow>;
  /** The transfer syntaxes that instances of `series`, or the one named, are stored in; each once. */
  findTransferSyntaxes(series: readonly SeriesRow[], sopInstanceUid?: string): Promise<readonly string[]>;
  /** Which of these rows are still there: one that was removed, or replaced by another, is not. */
  presentInstances(instanceIds: readonly number[]): Promise<readonly number[]>;
  /** The compressed metadata of the instances of one series, in instance order. */
  readMetadata(seriesId: number, sopInstanceUid?: string): AsyncIterable<Buffer>;
  /** The paths of the table of bulk data of an instance, in ascending order. */
  findBulkDataPaths(instanceId: number): Promise<readonly string[]>;
  /** The entry of the table of bulk data at `path` of an instance, as it was committed; undefined when there is none. */
  findBulkData(instanceId: number, path: string): Promise<unknown>;
  /** Instances by lists of UIDs, and by patient. */
  readonly selection: SelectionCatalog;
  /** Attributes that an operator made searchable. */
  readonly queryTags: QueryTagCatalog;
  /** Runs `work` unless another, of this process or a different one, holds the lock of `name`; tells whether it ran. */
  readonly withLock: WithLock;
  /** Keys of names in rows of older versions. */
  readonly nameKeys: NameKeysCatalog;
  /** What happened to instances. */
  readonly changes: ChangeCatalog;
  /** Who wants to be told of it. */
  readonly webhooks: WebhookCatalog;
  /** Applications that the archive talks to. */
  readonly peers: PeerCatalog;
  /** What was removed, and what becomes of it. */
  readonly removals: RemovalCatalog;
  /** What instances say otherwise than their studies. */
  readonly conflicts: ConflictCatalog;
  /** What protects studies against removal. */
  readonly holds: HoldCatalog;
  /** Files that could not be stored for what is in them. */
  readonly quarantine: QuarantineCatalog;
  /** Removal by rule. */
  readonly retention: RetentionCatalog;
  /** Instances that belong to no patient. */
  readonly nonPatient: NonPatientCatalog;
  /** Storage commitment. */
  readonly commitments: CommitmentCatalog;
  /** Outcomes of storage commitment that are still to be told. */
  readonly commitmentReports: CommitmentReportCatalog;
  /** What verifications found. */
  readonly integrity: IntegrityCatalog;
  /** What backups are made of, and how the last ones went. */
  readonly backups: BackupCatalog;
  /** What a reindex has found. */
  readonly reindex: ReindexCatalog;
  /** Work with peers. */
  readonly jobs: JobCatalog;
  /** Rules by which instances are sent on. */
  readonly forwarding: ForwardingCatalog;
  /** Resolves when PostgreSQL answers. */
  check(): Promise<void>;
}

/** The query tags and their index. */
export interface QueryTagCatalog {
  /** Adds tags, all or none. @throws ArchiveError `query-tag-exists`, `too-many-query-tags` */
  add(definitions: readonly QueryTagDefinition[]): Promise<readonly QueryTagState[]>;
  /** Every tag in force, the oldest first. */
  list(): Promise<readonly QueryTagState[]>;
  /** Takes a tag out of force at once; false when it is not there. */
  remove(id: number): Promise<boolean>;
  /** Instances whose value could not be indexed, in the order in which they were stored. */
  errors(id: number, page: { readonly limit: number; readonly offset: number }): Promise<readonly QueryTagError[]>;
  /** One step of the index of what is stored; false when there is nothing to do, or another process is at it. */
  indexBatch(read: ReadTagValues): Promise<boolean>;
}

/**
 * The catalog over an open pool.
 * @param readMatch reads the queries of holds; without it each of them protects everything
 */
export function createCatalog(knex: Knex, readMatch?: ReadStudyMatch): Catalog {
  const known: KnownTags = { revision: -1, tags: [] };
  const memory = knownSeries();
  return {
    commit: (records, options) =>
      databaseError(() =>
        commitInstances(knex, records, known, { ...options, memory, ...(readMatch && { readMatch }) }),
      ),
    search: (search) => searchCatalog(knex, search),
    findSeries: (selector) => databaseError(() => findSeries(knex, selector)),
    findInstances: (selector, series) => findInstances(knex, selector, series),
    findTransferSyntaxes: (series, uid) => databaseError(() => findTransferSyntaxes(knex, series, uid)),
    findBulkDataPaths: (instanceId) => databaseError(() => findBulkDataPaths(knex, instanceId)),
    presentInstances: (ids) => databaseError(() => presentInstances(knex, ids)),
    readMetadata: (seriesId, sopInstanceUid) => readMetadata(knex, seriesId, sopInstanceUid),
    findBulkData: (instanceId, path) => databaseError(() => findBulkData(knex, instanceId, path)),
    selection: createSelectionCatalog(knex),
    queryTags: {
      add: (definitions) => databaseError(() => addQueryTags(knex, definitions)),
      list: () => databaseError(() => listQueryTags(knex)),
      remove: (id) => databaseError(() => removeQueryTag(knex, id)),
      errors: (id, page) => databaseError(() => listQueryTagErrors(knex, id, page)),
      indexBatch: (read) => databaseError(() => indexBatch(knex, read)),
    },
    withLock: createLocks(knex),
    nameKeys: createNameKeysCatalog(knex),
    changes: createChangeCatalog(knex),
    webhooks: createWebhookCatalog(knex),
    peers: createPeerCatalog(knex),
    removals: createRemovalCatalog(knex, known, readMatch),
    holds: createHoldCatalog(knex, readMatch),
    retention: createRetentionCatalog(knex, readMatch),
    conflicts: createConflictCatalog(knex),
    quarantine: createQuarantineCatalog(knex),
    nonPatient: createNonPatientCatalog(knex),
    commitments: createCommitmentCatalog(knex),
    commitmentReports: createCommitmentReportCatalog(knex),
    integrity: createIntegrityCatalog(knex),
    backups: createBackupCatalog(knex),
    reindex: createReindexCatalog(knex),
    jobs: createJobCatalog(knex),
    forwarding: createForwardingCatalog(knex),
    check: () => databaseError(async () => void (await knex.raw("select 1"))),
  };
}
