/** Outcomes of storage commitment that are still to be told to the AE that asked (PS3.4 J.3.3). */
import type { Knex } from "knex";
import { databaseError } from "./database-error.ts";

/** Who is to be told. */
export interface ReportAddress {
  /** AE title of who asked. */
  readonly requestingAeTitle: string;
  /** AE title by which it called this archive. */
  readonly requestedAeTitle: string;
}

/** A report that is owed. */
export interface OwedReport extends ReportAddress {
  readonly transactionUid: string;
  /** The outcome as `CommitmentCatalog.finish` was given it; null while it is being worked on, and once it is forgotten. */
  readonly result: unknown;
  /** Failed attempts. */
  readonly failures: number;
}

/** Every method throws ArchiveError `database-unavailable`. */
export interface CommitmentReportCatalog {
  /**
   * Keeps a request and the report that is owed for it. For `seconds` nobody else attempts to make it. False when there
   * is a request with the same Transaction UID already.
   */
  record(transactionUid: string, request: object, address: ReportAddress, seconds: number): Promise<boolean>;
  /** Claims a report for `seconds`, unless it has been made, or somebody else has claimed it. */
  claim(transactionUid: string, seconds: number): Promise<OwedReport | undefined>;
  /** AE titles to which reports are due, the one that has waited longest first. */
  dueTo(): Promise<readonly string[]>;
  /** Claims the next report that is due to an AE title. */
  claimNext(requestingAeTitle: string, seconds: number): Promise<OwedReport | undefined>;
  /** Forgets a report that has been made, or is made no more. */
  remove(transactionUid: string): Promise<void>;
  /** Notes why a report could not be made, and when (in seconds from now) to try again. */
  postpone(transactionUid: string, fault: string, seconds: number): Promise<void>;
  /** Puts off all that is due to an AE title which cannot be reached. */
  postponeAll(requestingAeTitle: string, seconds: number): Promise<void>;
  /** Forgets reports that have been owed for more than `age` seconds; gives them. */
  giveUp(
    age: number,
  ): Promise<readonly (ReportAddress & { readonly transactionUid: string; readonly fault: string })[]>;
}

const columns = {
  transactionUid: "commitment_report.transaction_uid",
  requestingAeTitle: "requesting_ae_title",
  requestedAeTitle: "requested_ae_title",
  failures: "failures",
  result: "commitment.result",
};

/** The same over an open pool. */
export function createCommitmentReportCatalog(knex: Knex): CommitmentReportCatalog {
  return {
    record: (uid, request, address, seconds) => databaseError(() => record(knex, uid, request, address, seconds)),
    claim: (uid, seconds) => databaseError(() => claim(knex, uid, seconds)),
    dueTo: () => databaseError(() => dueTo(knex)),
    claimNext: (aeTitle, seconds) => databaseError(() => claimNext(knex, aeTitle, seconds)),
    remove: (uid) => databaseError(async () => void (await knex("commitment_report").where(byUid(uid)).delete())),
    postpone: (uid, fault, seconds) => databaseError(() => postpone(knex, uid, fault, seconds)),
    postponeAll: (aeTitle, seconds) => databaseError(() => postponeAll(knex, aeTitle, seconds)),
    giveUp: (age) => databaseError(() => giveUp(knex, age)),
  };
}

function byUid(transactionUid: string) {
  return { transaction_uid: transactionUid };
}

/** A moment so many seconds from now. */
function later(knex: Knex, seconds: number): Knex.Raw {
  return knex.raw("now() + make_interval(secs => ?)", [seconds]);
}

async function record(
  knex: Knex,
  transactionUid: string,
  request: object,
  { requestingAeTitle, requestedAeTitle }: ReportAddress,
  seconds: number,
): Promise<boolean> {
  return knex.transaction(async (trx) => {
    const inserted = await trx("commitment")
      .insert({ transaction_uid: transactionUid, request: JSON.stringify(request) })
      .onConflict("transaction_uid")
      .ignore()
      .returning("transaction_uid");
    if (inserted.length === 0) return false;
    await trx("commitment_report").insert({
      transaction_uid: transactionUid,
      requesting_ae_title: requestingAeTitle,
      requested_ae_title: requestedAeTitle,
      next_attempt_at: later(trx, seconds),
    });
    return true;
  });
}

/** Takes the claim, in one statement: of two that ask at once, one gets it. */
async function claim(knex: Knex, transactionUid: string, seconds: number): Promise<OwedReport | undefined> {
  const taken = await knex("commitment_report")
    .where(byUid(transactionUid))
    .whereRaw("coalesce(claimed_until, '-infinity') <= now()")
    .update({ claimed_until: later(knex, seconds) });
  if (taken === 0) return undefined;
  const row: OwedReport | undefined = await knex("commitment_report")
    .join("commitment", "commitment.transaction_uid", "commitment_report.transaction_uid")
    .where("commitment_report.transaction_uid", transactionUid)
    .first(columns);
  return row;
}

/** Those that can be made: the outcome is there, the moment has come, and nobody is at it. */
function due(knex: Knex) {
  return knex("commitment_report")
    .join("commitment", "commitment.transaction_uid", "commitment_report.transaction_uid")
    .whereNotNull("commitment.finished_at")
    .whereRaw("next_attempt_at <= now() and coalesce(claimed_until, '-infinity') <= now()");
}

async function dueTo(knex: Knex): Promise<string[]> {
  const rows: { requestingAeTitle: string }[] = await due(knex)
    .groupBy("requesting_ae_title")
    .orderByRaw("min(next_attempt_at)")
    .select({ requestingAeTitle: "requesting_ae_title" });
  return rows.map(({ requestingAeTitle }) => requestingAeTitle);
}

async function claimNext(knex: Knex, aeTitle: string, seconds: number): Promise<OwedReport | undefined> {
  const next: { transactionUid: string } | undefined = await due(knex)
    .where("requesting_ae_title", aeTitle)
    .orderBy("commitment_report.created_at")
    .first({ transactionUid: "commitment_report.transaction_uid" });
  return next && claim(knex, next.transactionUid, seconds);
}

async function postpone(knex: Knex, transactionUid: string, fault: string, seconds: number): Promise<void> {
  await knex("commitment_report")
    .where(byUid(transactionUid))
    .update({
      fault,
      failures: knex.raw("failures + 1"),
      next_attempt_at: later(knex, seconds),
      claimed_until: null,
    });
}

async function postponeAll(knex: Knex, aeTitle: string, seconds: number): Promise<void> {
  await knex("commitment_report")
    .where("requesting_ae_title", aeTitle)
    .whereRaw("next_attempt_at <= now()")
    .update({ next_attempt_at: later(knex, seconds) });
}

async function giveUp(knex: Knex, age: number) {
  return knex("commitment_report")
    .whereRaw("created_at < now() - make_interval(secs => ?)", [age])
    .delete()
    .returning<(ReportAddress & { transactionUid: string; fault: string })[]>([
      "transaction_uid as transactionUid",
      "requesting_ae_title as requestingAeTitle",
      "requested_ae_title as requestedAeTitle",
      "fault",
    ]);
}
