/** The information models of Query/Retrieve (PS3.4 C.6): their levels, the unique key of each, their SOP classes. */

/** Query/Retrieve Level (0008,0052) (PS3.4 C.4.1.1.3.1). */
export type QueryRetrieveLevel = "PATIENT" | "STUDY" | "SERIES" | "IMAGE";

/** Tag of the attribute that tells the level. */
export const queryRetrieveLevel = "00080052";

/** Tags of the attributes that tell the entities of a level apart (PS3.4 C.6.1.1). */
export const uniqueKeys = {
  PATIENT: "00100020",
  STUDY: "0020000D",
  SERIES: "0020000E",
  IMAGE: "00080018",
} as const satisfies Record<QueryRetrieveLevel, string>;

/** A model: its levels from the root down, and its SOP classes (PS3.4 C.6.1.3, C.6.2.3). */
export interface InformationModel {
  readonly name: string;
  readonly levels: readonly QueryRetrieveLevel[];
  readonly findSopClassUid: string;
  readonly moveSopClassUid: string;
  readonly getSopClassUid: string;
}

export const patientRoot = model("Patient Root", ["PATIENT", "STUDY", "SERIES", "IMAGE"], "1.2.840.10008.5.1.4.1.2.1");
export const studyRoot = model("Study Root", ["STUDY", "SERIES", "IMAGE"], "1.2.840.10008.5.1.4.1.2.2");

/** PS3.4 C.6.1, C.6.2, and C.6.3 of former years: retired, and still asked for. */
export const informationModels: readonly InformationModel[] = [
  patientRoot,
  studyRoot,
  model("Patient/Study Only", ["PATIENT", "STUDY"], "1.2.840.10008.5.1.4.1.2.3"),
];

function model(name: string, levels: readonly QueryRetrieveLevel[], uid: string): InformationModel {
  return { name, levels, findSopClassUid: `${uid}.1`, moveSopClassUid: `${uid}.2`, getSopClassUid: `${uid}.3` };
}
