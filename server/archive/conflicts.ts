/** Conflicts: what instances say of patient and study otherwise than the study that they are stored in. */
import type {
  ConflictCatalog,
  ConflictInstance,
  ConflictPage,
  ConflictRow,
} from "../../storage/catalog-conflict-list.ts";
import type { PatientKey } from "../../storage/catalog-patient-conflicts.ts";
import {
  areDifferentNames,
  comparedKeywords,
  patientKeywords,
  sharedUidKeywords,
} from "../../storage/study-conflicts.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";

/** Keywords of the attributes in which an instance may be in conflict with its study, or with another one. */
export const conflictAttributes: readonly string[] = [...comparedKeywords, ...sharedUidKeywords];

/** What a conflict is about: whose the study is, which study it is, or a UID that two studies have. */
export type ConflictKind = "patient" | "study" | "uid";

/** One attribute and two values that disagree, with the instances that say the second one. */
export interface Conflict extends Omit<ConflictRow, "studyValue" | "instanceValue"> {
  readonly kind: ConflictKind;
  readonly status: "open" | "acknowledged";
  /** As DICOM writes it; null for none. */
  readonly studyValue: string | null;
  readonly instanceValue: string | null;
}

/** Which conflicts to list, newest first; what is absent is any. */
export interface ConflictRequest {
  readonly limit: number;
  /** Only conflicts whose id is lower. */
  readonly before?: number | undefined;
  readonly study?: Uid | undefined;
  readonly patientId?: string | undefined;
  /** Keyword. */
  readonly attribute?: string | undefined;
  readonly kind?: ConflictKind | undefined;
  readonly status?: Conflict["status"] | undefined;
}

/** A Patient ID, with its issuer, of which studies say different things: perhaps two patients, perhaps a typing error. */
export interface DisputedPatient {
  readonly patientId: string;
  readonly issuerOfPatientId: string | null;
  readonly studyCount: number;
  /** What the studies say, as DICOM writes it; ten different values of each at most. */
  readonly names: readonly string[];
  readonly birthDates: readonly string[];
  readonly sexes: readonly string[];
}

/** A page of them. */
export interface DisputedPatients {
  readonly patients: readonly DisputedPatient[];
  /** Behind whom the next page begins; undefined when this is the last. A page may have fewer than were asked for. */
  readonly next: PatientKey | undefined;
}

/** The use cases. Those of one conflict throw ArchiveError `no-such-conflict`. */
export interface Conflicts {
  list(request: ConflictRequest): Promise<readonly Conflict[]>;
  find(id: number): Promise<Conflict>;
  /** Its instances in the order in which they were stored: at most `limit`, with an id higher than `after`. */
  instances(id: number, limit: number, after: number): Promise<readonly ConflictInstance[]>;
  /** Says that it is right as it is. It stays acknowledged when further instances say the same. */
  acknowledge(id: number, note?: string): Promise<Conflict>;
  /** Takes that back. */
  reopen(id: number): Promise<Conflict>;
  /** Patients of whom studies say different things, in the order of their identifiers. Reads every study. */
  patients(limit: number, after?: PatientKey): Promise<DisputedPatients>;
}

/** Makes the use cases. */
export function createConflicts(catalog: ConflictCatalog): Conflicts {
  const find = async (id: number): Promise<Conflict> => {
    const row = await catalog.find(id);
    if (!row) throw new ArchiveError("no-such-conflict", "There is no such conflict, or it is settled.");
    return conflictOf(row);
  };
  return {
    list: async (request) => (await catalog.list(pageOf(request))).map(conflictOf),
    find,
    instances: async (id, limit, after) => {
      await find(id);
      return catalog.instances(id, limit, after);
    },
    acknowledge: async (id, note) => {
      await catalog.acknowledge(id, note);
      return find(id);
    },
    patients: async (limit, after) => {
      const found = await catalog.patients(limit, after);
      const disputed = found.filter(
        ({ names, birthDates, sexes }) => birthDates.length > 1 || sexes.length > 1 || areDifferentNames(names),
      );
      const patients = disputed.map(({ patientId, issuer, studyCount, names, birthDates, sexes }) => ({
        patientId,
        issuerOfPatientId: issuer === "" ? null : issuer,
        studyCount,
        names: names.map((name) => written("PatientName", name) ?? ""),
        birthDates: birthDates.map((date) => written("PatientBirthDate", date) ?? ""),
        sexes,
      }));
      return { patients, next: found.length < limit ? undefined : found.at(-1) };
    },
    reopen: async (id) => {
      await catalog.reopen(id);
      return find(id);
    },
  };
}

function pageOf({ limit, before, study, patientId, attribute, kind, status }: ConflictRequest): ConflictPage {
  const attributes = conflictAttributes.filter(
    (keyword) => (attribute ?? keyword) === keyword && (kind ?? kindOf(keyword)) === kindOf(keyword),
  );
  return {
    limit,
    before: before ?? Number.MAX_SAFE_INTEGER,
    studyInstanceUid: study,
    patientId,
    attributes: attribute === undefined && kind === undefined ? undefined : attributes,
    isAcknowledged: status === undefined ? undefined : status === "acknowledged",
  };
}

function kindOf(keyword: string): ConflictKind {
  if (sharedUidKeywords.includes(keyword)) return "uid";
  return patientKeywords.has(keyword) ? "patient" : "study";
}

function conflictOf(row: ConflictRow): Conflict {
  return {
    ...row,
    kind: kindOf(row.attribute),
    status: row.acknowledgedAt === null ? "open" : "acknowledged",
    studyValue: written(row.attribute, row.studyValue),
    instanceValue: written(row.attribute, row.instanceValue),
  };
}

/** A value of a column as DICOM writes it: DA as YYYYMMDD, PN with its component groups and no delimiter at the end. */
function written(attribute: string, value: string): string | null {
  if (value === "") return null;
  if (attribute.endsWith("Date")) return value.replaceAll("-", "");
  return attribute === "PatientName" ? value.replace(/^=/, "").replace(/=+$/, "") : value;
}
