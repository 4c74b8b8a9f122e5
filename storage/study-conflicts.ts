/** Which attributes of the patient and the study an instance must share with its study, and when their values differ. */
import type { Columns } from "./catalog-records.ts";

/** The compared values of a study by the name of their column, as the columns have them; null where there is none. */
export type StudyValues = Readonly<Record<string, string | null>>;

/** An attribute of which an instance says otherwise than its study. */
export interface Difference {
  /** Keyword. */
  readonly attribute: string;
  /** As the column has it; empty for none. */
  readonly studyValue: string;
  /** The same of the instance. */
  readonly instanceValue: string;
}

type Differs = (ofStudy: string | null, ofInstance: string | null) => boolean;

interface ComparedAttribute {
  readonly keyword: string;
  /** As sentences name it. */
  readonly tag: string;
  readonly column: string;
  /** Whether it says whose the study is. */
  readonly isOfPatient: boolean;
  readonly differs: Differs;
}

/**
 * Identifiers that tell patients apart: having none is another identity than having one, as a search for patients
 * counts them (PS3.4 C.6.1.1.2).
 */
const asIdentity: Differs = (ofStudy, ofInstance) => ofStudy !== ofInstance;

/** An instance that does not say it contradicts nobody. */
const whereBothSay: Differs = (ofStudy, ofInstance) =>
  ofStudy !== null && ofInstance !== null && ofStudy !== "" && ofInstance !== "" && ofStudy !== ofInstance;

/**
 * Names, group by group (PS3.5 6.2.1.1): senders leave out groups, delimiters at the end, and write in capitals, and
 * all of them mean the same.
 */
const asNames: Differs = (ofStudy, ofInstance) => {
  if (ofStudy === null || ofInstance === null || ofStudy === ofInstance) return false;
  const groups = foldedGroups(ofStudy);
  return foldedGroups(ofInstance).some((group, index) => whereBothSay(groups[index] ?? "", group));
};

/** Component groups of `=Alphabetic=Ideographic=Phonetic=`. */
function foldedGroups(name: string): string[] {
  return name.split("=").map((group) =>
    group
      .normalize("NFKC")
      .toUpperCase()
      .split("^")
      .map((component) => component.trim().replaceAll(/\s+/g, " "))
      .join("^")
      .replace(/\^+$/, ""),
  );
}

/** PS3.3 C.7.1.1 (Patient) and C.7.2.1 (General Study): what tells patients, visits and studies apart. */
const compared: readonly ComparedAttribute[] = [
  { keyword: "PatientID", tag: "(0010,0020)", column: "patient_id", isOfPatient: true, differs: asIdentity },
  {
    keyword: "IssuerOfPatientID",
    tag: "(0010,0021)",
    column: "issuer_of_patient_id",
    isOfPatient: true,
    differs: asIdentity,
  },
  { keyword: "PatientName", tag: "(0010,0010)", column: "patient_name", isOfPatient: true, differs: asNames },
  {
    keyword: "PatientBirthDate",
    tag: "(0010,0030)",
    column: "patient_birth_date",
    isOfPatient: true,
    differs: whereBothSay,
  },
  { keyword: "PatientSex", tag: "(0010,0040)", column: "patient_sex", isOfPatient: true, differs: whereBothSay },
  { keyword: "StudyDate", tag: "(0008,0020)", column: "study_date", isOfPatient: false, differs: whereBothSay },
  {
    keyword: "AccessionNumber",
    tag: "(0008,0050)",
    column: "accession_number",
    isOfPatient: false,
    differs: whereBothSay,
  },
];

/** Keywords of every attribute that is compared. */
export const comparedKeywords: readonly string[] = compared.map(({ keyword }) => keyword);

/**
 * UIDs of an instance that another study, or for instances another series, has as well (PS3.5 9: they are unique). The
 * values of such a difference are the UIDs of both studies.
 */
const sharedUids: Readonly<Record<string, string>> = {
  SOPInstanceUID: "SOPInstanceUID (0008,0018) is that of an instance in another series or study, too.",
  SeriesInstanceUID: "SeriesInstanceUID (0020,000E) is that of a series in another study, too.",
};

/** Keywords of those UIDs. */
export const sharedUidKeywords: readonly string[] = Object.keys(sharedUids);

/** Keywords of those that say whose the study is. */
export const patientKeywords: ReadonlySet<string> = new Set(
  compared.flatMap(({ keyword, isOfPatient }) => (isOfPatient ? [keyword] : [])),
);

/** The compared columns of a study. */
export const comparedNames: readonly string[] = compared.map(({ column }) => column);

/** Expressions of SQL that give the compared columns of `study` as `StudyValues` has them: dates as YYYY-MM-DD. */
export const comparedColumns: readonly string[] = compared.map(({ column }) => `study.${column}::text as ${column}`);

/** What an instance, which says `columns` of its study, says otherwise than the study. Mostly nothing. */
export function differences(study: StudyValues, columns: Columns): readonly Difference[] {
  const found: Difference[] = [];
  for (const { keyword, column, differs } of compared) {
    const ofStudy = study[column] ?? null;
    const ofInstance = textOf(columns, column);
    if (!differs(ofStudy, ofInstance)) continue;
    found.push({ attribute: keyword, studyValue: ofStudy ?? "", instanceValue: ofInstance ?? "" });
  }
  return found;
}

/** Whether two of these names of one patient cannot be the same name, written in several ways. */
export function areDifferentNames(names: readonly string[]): boolean {
  return names.some((one, index) => names.slice(index + 1).some((other) => asNames(one, other)));
}

/** Whether nothing that is compared has another value. */
export function isDescribedAlike(one: StudyValues, columns: Columns): boolean {
  return compared.every(({ column }) => (one[column] ?? null) === textOf(columns, column));
}

/** Whether a study with these differences belongs to somebody else by its identifiers. */
export function isOtherPatient(found: readonly Difference[]): boolean {
  return found.some(({ attribute }) => attribute === "PatientID" || attribute === "IssuerOfPatientID");
}

/** The warning to who stored the instance; it tells no value, since the study may be a stranger's. */
export function sentenceOf({ attribute }: Difference): string {
  const shared = sharedUids[attribute];
  if (shared !== undefined) return shared;
  const tag = compared.find(({ keyword }) => keyword === attribute)?.tag ?? "";
  return `${attribute} ${tag} differs from that of the study.`;
}

function textOf(columns: Columns, column: string): string | null {
  const value = columns[column] ?? null;
  return value === null ? null : String(value);
}
