/** Query/retrieve information models (PS3.4 C.6) and their SOP classes (PS3.4 C.6.1.3, C.6.2.3, C.6.3.3). */

/** SOP classes of one information model. */
export interface InformationModel {
  readonly name: string;
  readonly find: string;
  readonly move: string;
  readonly get: string;
}

const root = "1.2.840.10008.5.1.4.1.2";

function model(number: number, name: string): InformationModel {
  return { name, find: `${root}.${number}.1`, move: `${root}.${number}.2`, get: `${root}.${number}.3` };
}

/** The models by the words of the command line. */
export const informationModels = {
  patient: model(1, "Patient Root"),
  study: model(2, "Study Root"),
} as const satisfies Record<string, InformationModel>;

export type ModelName = keyof typeof informationModels;

/** Query/Retrieve Level (0008,0052) (PS3.4 C.4.1.1.3.1), from the top. */
export const levels = ["PATIENT", "STUDY", "SERIES", "IMAGE"] as const;

export type Level = (typeof levels)[number];
