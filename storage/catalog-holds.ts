/** Holds: studies of which nothing is removed, as long as they are in force. */
import type { Knex } from "knex";
import { ArchiveError } from "../server/errors.ts";
import {
  heldByQuery,
  holdOn,
  holdSentence,
  inForce,
  namesStudy,
  type ReadStudyMatch,
  saidToBeHeld,
} from "./catalog-held.ts";
import { restricted } from "./catalog-where.ts";
import { databaseError } from "./database-error.ts";

/** What a hold protects: a study, a patient, or what a search for studies finds, now and later. */
export type HoldTarget =
  | { readonly studyInstanceUid: string }
  /**
   * Without issuer: the studies of that Patient ID, whatever the issuer. In both cases also studies of other patients in
   * which instances have that Patient ID.
   */
  | { readonly patientId: string; readonly issuerOfPatientId?: string | undefined }
  | { readonly query: string };

/** A hold to be placed. */
export type NewHold = HoldTarget & {
  readonly reason: string;
  /** Absent: until it is released. */
  readonly until?: Date | undefined;
};

/** A hold as it stands; of what it protects, the members that are not null. */
export interface Hold {
  readonly id: number;
  readonly studyInstanceUid: string | null;
  readonly patientId: string | null;
  readonly issuerOfPatientId: string | null;
  readonly query: string | null;
  readonly reason: string;
  readonly until: Date | null;
  readonly createdAt: Date;
  readonly releasedAt: Date | null;
}

/** Which holds to list. */
export interface HoldPage {
  /** Also those that are over or released. */
  readonly past: boolean;
  readonly limit: number;
  /** Only holds whose id is lower. */
  readonly before: number;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface HoldCatalog {
  /** Places a hold: whatever is removed after the answer has regarded it. @throws ArchiveError `too-many-holds` */
  place(hold: NewHold): Promise<Hold>;
  /** Holds, newest first. */
  list(page: HoldPage): Promise<readonly Hold[]>;
  find(id: number): Promise<Hold | undefined>;
  /** How many studies that are there it protects, or would if it were in force. */
  countStudies(hold: Hold): Promise<number>;
  /** One sentence that names a hold on the study of this row. */
  sentenceOn(studyId: number): Promise<string>;
  /** Releases a hold; false when there is none that is not released. */
  release(id: number): Promise<boolean>;
}

/** Holds by a search that may be in force: each is looked at by every removal. */
const mostQueries = 100;

const columns = {
  id: "id",
  studyInstanceUid: "study_instance_uid",
  patientId: "patient_id",
  issuerOfPatientId: "issuer_of_patient_id",
  query: "query",
  reason: "reason",
  until: "until",
  createdAt: "created_at",
  releasedAt: "released_at",
};

/** The holds over an open pool. */
export function createHoldCatalog(knex: Knex, readMatch?: ReadStudyMatch): HoldCatalog {
  return {
    place: (hold) => databaseError(() => placeHold(knex, hold)),
    list: (page) => databaseError(() => listHolds(knex, page)),
    find: (id) => databaseError(() => findHold(knex, id)),
    countStudies: (hold) => databaseError(() => countStudies(knex, hold, readMatch)),
    sentenceOn: (studyId) =>
      databaseError(async () => {
        const hold = await holdOn(knex, { studyId }, readMatch);
        return hold ? holdSentence(hold) : "A hold protected the study until a moment ago.";
      }),
    release: (id) => databaseError(() => releaseHold(knex, id)),
  };
}

/** The insert waits for every removal under way, which has locked the table (storage/catalog-held.ts). */
async function placeHold(knex: Knex, hold: NewHold): Promise<Hold> {
  return knex.transaction(async (trx) => {
    const [placed]: { id: number }[] = await trx("hold").insert(
      {
        study_instance_uid: "studyInstanceUid" in hold ? hold.studyInstanceUid : null,
        patient_id: "patientId" in hold ? hold.patientId : null,
        issuer_of_patient_id: "patientId" in hold ? hold.issuerOfPatientId : null,
        query: "query" in hold ? hold.query : null,
        reason: hold.reason,
        until: hold.until ?? null,
      },
      ["id"],
    );
    const found = placed && (await findHold(trx, placed.id));
    if (!found) throw new Error("an insert returned nothing");
    if ("query" in hold) await refuseTooMany(trx);
    return found;
  });
}

async function refuseTooMany(trx: Knex.Transaction): Promise<void> {
  const others: unknown[] = await trx("hold")
    .whereNotNull("query")
    .whereRaw(inForce)
    .limit(mostQueries + 1)
    .select("id");
  if (others.length <= mostQueries) return;
  throw new ArchiveError(
    "too-many-holds",
    `There are ${mostQueries} holds by a query already: release one first, or hold studies or patients.`,
  );
}

async function listHolds(knex: Knex, { past, limit, before }: HoldPage): Promise<Hold[]> {
  return knex("hold")
    .whereRaw(past ? "true" : inForce)
    .where("id", "<", before)
    .orderBy("id", "desc")
    .limit(limit)
    .select(columns);
}

async function findHold(knex: Knex, id: number): Promise<Hold | undefined> {
  return knex("hold").where("id", id).first(columns);
}

async function releaseHold(knex: Knex, id: number): Promise<boolean> {
  const released: number = await knex("hold")
    .where("id", id)
    .whereNull("released_at")
    .update({ released_at: knex.fn.now() });
  return released > 0;
}

async function countStudies(knex: Knex, { id, query }: Hold, readMatch?: ReadStudyMatch): Promise<number> {
  const studies =
    query === null
      ? knex("study").joinRaw(
          `join hold on hold.id = ? and (${namesStudy} or study.id in ${saidToBeHeld("hold.id = ?")})`,
          [id, id],
        )
      : restricted(knex("study"), heldByQuery(query, readMatch));
  const counted: { count: number } | undefined = await studies.first(knex.raw("count(*) as count"));
  return counted?.count ?? 0;
}
