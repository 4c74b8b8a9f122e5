/** The archive: everything that a door may do, on one screen. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import { type Backups, type BackupSettings, createBackups } from "./backups.ts";
import { type ChangeFeedPage, type ChangeRequest, createChanges } from "./changes.ts";
import { type CommitmentRequest, type CommitmentResult, createCommitment } from "./commitment.ts";
import { type CommitmentReports, createCommitmentReports } from "./commitment-reports.ts";
import { type Conflicts, createConflicts } from "./conflicts.ts";
import { createWebhookDelivery } from "./deliver-webhooks.ts";
import { fillNameKeys } from "./fill-name-keys.ts";
import { createFileSet, type FileSetEntry, type FileSetOptions } from "./file-set.ts";
import { createPeers, type DimsePeer, type Peers } from "./peers.ts";
import { createCheck } from "./readiness.ts";
import { createHolds, type Holds } from "./holds.ts";
import { createQuarantine, type Quarantine } from "./quarantine.ts";
import { quarantineLimits } from "./quarantine-faults.ts";
import { createReindex, type ReindexOptions, type ReindexResult } from "./reindex.ts";
import { createRemove, type Removal, type RemovalPage, type Restored, type RestoreRequest } from "./remove.ts";
import { createForwarding, type Forwarding } from "./forwarding.ts";
import { createJobs, type Jobs } from "./jobs.ts";
import { createLocate, type InstanceUids } from "./locate.ts";
import { createIntegrity, type Integrity } from "./integrity.ts";
import { createNonPatient, type NonPatient } from "./non-patient.ts";
import type { SearchLevel } from "./attributes.ts";
import {
  makeQuery,
  type Query,
  type QueryParameters,
  type QueryRequest,
  readParameters,
  type SearchScope,
} from "./query.ts";
import { type IdentifierRules, readIdentifier } from "./query-identifier.ts";
import { createQueryTags, type QueryTags } from "./query-tags.ts";
import { createRetrieve, type ResourceUids, type RetrievedInstances, type RetrievedMetadata } from "./retrieve.ts";
import { createRendered, type RenderingOptions, type Rendition, type Renditions } from "./rendered.ts";
import {
  createRetrieveParts,
  type RetrievedBulkData,
  type RetrievedBulkDataSet,
  type RetrievedFrames,
} from "./retrieve-parts.ts";
import { createRetention, type Retention } from "./retention.ts";
import { createSelect, type SelectedInstances, type Selection } from "./selection.ts";
import { createSpace } from "./space.ts";
import { search, searchAll, type SearchAnswer, type SearchAnswers } from "./search.ts";
import { type DicomJson, parseJsonText } from "../dicom/json.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { createStore, type DuplicatePolicy, type StoreLog, type StoreOptions, type StoreOutcome } from "./store.ts";
import { createStoreParts, type StorePart, type StorePartsOptions } from "./store-parts.ts";
import { createSweep } from "./sweep.ts";
import type { BackgroundVerifySettings } from "./verify-background.ts";
import type { VerifyLog } from "./verify-faults.ts";
import { createWebhooks, type Webhooks } from "./webhooks.ts";

/** What a client can cause is thrown as ArchiveError; `store` gives it as an outcome instead. */
export interface Archive {
  /** Stores one DICOM file. `stored` means durable and findable; never throws. */
  store(body: AsyncIterable<Buffer>, options?: StoreOptions): Promise<StoreOutcome>;
  /** Stores instances that come as metadata and bulk data; throws what is wrong with all of them. */
  storeParts(parts: AsyncIterable<StorePart>, options: StorePartsOptions): Promise<StoreOutcome[]>;

  /** Parses and checks what a client asks of a search. */
  query(scope: SearchScope, parameters: QueryParameters): Promise<Query>;
  /** The same of an identifier, as C-FIND has it. @throws ArchiveError `identifier-mismatch`, naming the key */
  queryIdentifier(level: SearchLevel, identifier: DicomJson, rules: IdentifierRules): Promise<Query>;
  /** The matches of a query, newest study first. */
  search(query: Query, urlOf: UrlOf): Promise<SearchAnswers>;
  /** All of them, however many, as they are pulled; `signal` cancels what the database is at. */
  searchAll(query: Query, signal?: AbortSignal): AsyncIterable<SearchAnswer>;

  /** The instances of a study, a series, or one, with their stored bytes. */
  instances(uids: ResourceUids): Promise<RetrievedInstances>;
  /** The instances of a patient, or of lists of studies, series and instances, with their data sets alone. */
  select(selection: Selection): Promise<SelectedInstances>;
  /** The metadata of a study, a series or an instance. */
  metadata(uids: ResourceUids, urlOf: UrlOf): Promise<RetrievedMetadata>;
  /** Frames of an instance by number, counted from 1, as stored. */
  frames(uids: InstanceUids, numbers: readonly number[]): Promise<RetrievedFrames>;
  /** The value of one element that the metadata refers to. */
  bulkData(uids: InstanceUids, path: string): Promise<RetrievedBulkData>;
  /** Every such value of a study, a series or an instance, or its pixel data alone. */
  allBulkData(uids: ResourceUids, which: "all" | "pixel data"): Promise<RetrievedBulkDataSet>;

  /** What a browser can show of a study, a series, an instance, or frames of an instance. */
  rendered(uids: ResourceUids, frames: readonly number[] | undefined, options: RenderingOptions): Promise<Renditions>;
  /** One image that stands for a study, a series, an instance or a frame. */
  thumbnail(uids: ResourceUids, frame: number | undefined, options: RenderingOptions): Promise<Rendition>;

  /** Studies, series and instances as files with names, for an archive or a medium. */
  fileSet(resources: readonly ResourceUids[], options: FileSetOptions): Promise<AsyncIterable<FileSetEntry>>;

  /** Removes a study, a series or an instance: gone for every request that follows, and restorable for a while. */
  remove(uids: ResourceUids, origin?: string): Promise<Removal>;
  /** What can be restored, newest removal first. */
  removals(page: RemovalPage): Promise<readonly Removal[]>;
  /** Brings back what a removal took. */
  restore(removalId: number, request?: RestoreRequest): Promise<Restored>;
  /** Forgets what a removal took, for good. */
  purge(removalId: number): Promise<void>;
  /** What protects studies against every removal. */
  readonly holds: Holds;
  /** Removal by rule. */
  readonly retention: Retention;
  /** Forgets what cannot be restored any more, and removes the objects that nothing needs. */
  sweep(signal: AbortSignal): Promise<boolean>;
  /** Removes what stores have left half done whose process ended a day ago. */
  removeLeftovers(): Promise<void>;

  /** What happened to instances, in order and without gaps. */
  changes(request: ChangeRequest): Promise<ChangeFeedPage>;
  /** Addresses that are told of changes. */
  readonly webhooks: Webhooks;
  /** Tells them, until `signal` aborts. */
  deliverWebhooks(signal: AbortSignal): Promise<void>;
  /** Forgets changes that are older than they are kept. */
  forgetOldChanges(signal: AbortSignal): Promise<void>;

  /** Says of instances whether they are kept; undefined when the answer takes a while. */
  requestCommitment(request: CommitmentRequest): Promise<CommitmentResult | undefined>;
  /** The answer to an earlier request; undefined when it is not there yet. */
  checkCommitment(transactionUid: Uid): Promise<CommitmentResult | undefined>;
  /** Works out the answers that processes owe which have ended. */
  finishAbandonedCommitments(): Promise<void>;
  /** Storage commitment whose outcome is told to who asked, instead of being asked for. */
  readonly commitmentReports: CommitmentReports;

  /** What instances say otherwise than the studies that they are stored in. */
  readonly conflicts: Conflicts;
  /** Files that could not be stored for what is in them, and were kept. */
  readonly quarantine: Quarantine;
  /** Instances that belong to no patient. */
  readonly nonPatient: NonPatient;
  /** Copies of the archive in another place. */
  readonly backups: Backups;
  /** DICOM applications that the archive talks to by name. */
  readonly peers: Peers;
  /** Work with them that outlives requests. */
  readonly jobs: Jobs;
  /** Rules by which instances are sent on as they are stored. */
  readonly forwarding: Forwarding;
  /** Attributes that are made searchable beside those of the table. */
  readonly queryTags: QueryTags;

  /** Whether every row has its object, every object its row, and every byte is what was stored. */
  readonly integrity: Integrity;

  /** Makes what older versions stored findable by fuzzy matching; ends soon after `signal` aborts. */
  fillNameKeys(signal: AbortSignal): Promise<void>;

  /** Makes rows of objects that have none; undefined when another reindex is under way. */
  reindex(options: ReindexOptions): Promise<ReindexResult | undefined>;

  /** Resolves when the archive can store and find. */
  check(): Promise<void>;
}

/** Makes a URL of a path below the DICOMweb root. */
export type UrlOf = (path: string) => string;

export interface ArchiveOptions {
  readonly blobs: Blobs;
  readonly catalog: Catalog;
  readonly log: StoreLog & VerifyLog;
  /** What happens when UIDs are stored again; default `keep`. */
  readonly duplicates?: DuplicatePolicy;
  /** Days that removed instances can be restored; default 7. */
  readonly removedKeepDays?: number;
  /** Days that changes are kept; default for ever. */
  readonly changesKeepDays?: number | undefined;
  /** Room for objects, when the object store does not tell it or may not be filled. */
  readonly capacityBytes?: number | undefined;
  /** Largest share of all studies that retention removes in a run without a dry run that has shown it; default 10. */
  readonly retentionMaxPercent?: number;
  /** Minutes from one run of a rule of retention to the next; default 60. */
  readonly retentionEveryMinutes?: number;
  /** Where and when backups are made; default: nowhere and never by itself. */
  readonly backups?: BackupSettings;
  /** What quarantine keeps, and whether anything comes there; default no, and 1024 MB for 30 days. */
  readonly quarantine?: { readonly isOn: boolean; readonly megabytes: number; readonly days: number };
  /** Days that jobs are kept which have ended; default 30. */
  readonly jobsKeepDays?: number;
  /** Peers that the settings name. */
  readonly peers?: readonly DimsePeer[];
  /** How the archive is verified by itself; default: not at all. */
  readonly verification?: Omit<BackgroundVerifySettings, "keepDays">;
}

const noVerification = { everyDays: 0, removeOrphans: false };

/** No store takes as long as that (milliseconds): what is half done then was left by a process that died. */
const leftAfter = 24 * 3600_000;

const noBackups: BackupSettings = { times: [], keep: { days: 7, weeks: 4, months: 12 }, openTarget: undefined };

/** The archive over its two memories. */
export function createArchive(options: ArchiveOptions): Archive {
  const { blobs, catalog, log, duplicates = "keep", removedKeepDays = 7, changesKeepDays } = options;
  const { isOn, ...kept } = options.quarantine ?? { isOn: false, megabytes: 1024, days: 30 };
  const quarantine = quarantineLimits(kept);
  const { jobsKeepDays = 30 } = options;
  const { capacityBytes, retentionMaxPercent = 10, retentionEveryMinutes = 60 } = options;
  const locate = createLocate(catalog);
  const retrieve = createRetrieve(blobs, catalog);
  const sweep = createSweep(blobs, catalog);
  const store = createStore(blobs, catalog, log, { duplicates, removedKeepDays, ...(isOn && { quarantine }) });
  const queryTags = createQueryTags(catalog.queryTags);
  const commitment = createCommitment(blobs, catalog);
  const backups = createBackups(blobs, catalog, log, options.backups ?? noBackups);
  const peers = createPeers(catalog, options.peers);
  const jobs = createJobs({ jobs: catalog.jobs, blobs, peers, log }, jobsKeepDays);

  async function tagged(scope: SearchScope, request: QueryRequest): Promise<Query> {
    const query = makeQuery(scope, request);
    return query.passedOver ? makeQuery(scope, request, await queryTags.current()) : query;
  }

  return {
    store,
    storeParts: createStoreParts(blobs, store, (uid) => metadataOfOne(retrieve, uid), catalog.removals, log),
    query: (scope, parameters) => tagged(scope, readParameters(scope.level, parameters)),
    queryIdentifier: (level, identifier, rules) =>
      readIdentifier(level, identifier, rules, (request) => tagged({ level }, request)),
    search: (query, urlOf) => search(catalog, query, urlOf),
    searchAll: (query, signal) => searchAll(catalog, query, (path) => path, signal),
    ...retrieve,
    select: createSelect(blobs, catalog.selection),
    fileSet: createFileSet(retrieve),
    ...createRemove(catalog, { keepDays: removedKeepDays, sweep }),
    holds: createHolds(catalog),
    retention: createRetention(catalog, {
      queryTags,
      space: createSpace(blobs, catalog, capacityBytes),
      sweep,
      log,
      keepDays: removedKeepDays,
      maxPercent: retentionMaxPercent,
      everyMinutes: retentionEveryMinutes,
    }),
    sweep,
    removeLeftovers: async () => {
      const count = await blobs.removeLeftovers(new Date(Date.now() - leftAfter));
      if (count > 0) log.warn({ count }, "uploads that were left half done have been removed");
    },
    ...createRetrieveParts(blobs, catalog, locate),
    webhooks: createWebhooks(catalog),
    deliverWebhooks: createWebhookDelivery(catalog, log),
    ...createChanges(catalog, changesKeepDays),
    ...createRendered(blobs, catalog, locate),
    ...commitment,
    commitmentReports: createCommitmentReports(catalog, commitment, log),
    conflicts: createConflicts(catalog.conflicts),
    quarantine: createQuarantine(blobs, catalog, store, sweep, quarantine),
    peers,
    jobs,
    forwarding: createForwarding(catalog, { peers, queryTags, log, wake: () => jobs.wake() }),
    nonPatient: createNonPatient(blobs, catalog, log),
    queryTags,
    integrity: createIntegrity(blobs, catalog, log, backups, {
      ...(options.verification ?? noVerification),
      keepDays: removedKeepDays,
    }),
    backups,
    fillNameKeys: (signal) => fillNameKeys(catalog, signal),
    reindex: createReindex(blobs, catalog, { duplicates, removedKeepDays }),
    check: createCheck(blobs, catalog),
  };
}

/** The metadata of some instance of a study; undefined when there is none. */
async function metadataOfOne(
  { metadata }: Pick<Archive, "metadata">,
  studyInstanceUid: Uid,
): Promise<DicomJson | undefined> {
  try {
    const { documents } = await metadata({ studyInstanceUid }, (path) => path);
    for await (const document of documents()) return parseJsonText(document);
    return undefined;
  } catch (error) {
    if (error instanceof ArchiveError && error.code === "no-such-study") return undefined;
    throw error;
  }
}
