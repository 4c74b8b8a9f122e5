/** What an instance made of media gets that it does not say itself: UIDs, and the patient and the study around it. */
import { isDeepStrictEqual } from "node:util";
import type { DicomJson, JsonAttribute } from "../dicom/json.ts";
import { isUid, newUid, type Uid } from "../dicom/uid.ts";
import { emptyPatientAndStudy, ofStudy } from "./media-classes.ts";
import { completed, isEmpty } from "./pixel-attributes.ts";

/** What an instance may take from where it goes to. */
export interface Surroundings {
  /** The study that the request addresses. */
  readonly studyInstanceUid?: Uid;
  /** The metadata of an instance of a study; undefined when it is not in the archive. */
  readonly findStudy: (studyInstanceUid: Uid) => Promise<DicomJson | undefined>;
}

const sopClassUid = "00080016";
const sopInstanceUid = "00080018";
const studyUid = "0020000D";
const seriesUid = "0020000E";
const patientId = "00100020";
/** PatientName, PatientID and its issuer, PatientBirthDate: another one means another patient. */
const patientKeys = ["00100010", patientId, "00100021", "00100030"] as const;

/** `given` with the UIDs that it lacks; where it names no SOP Class, with patient and study of the instances around it. */
export async function identified(
  given: DicomJson,
  classUid: string,
  { studyInstanceUid: addressed, findStudy }: Surroundings,
) {
  const named = given[studyUid]?.Value?.[0] ?? addressed;
  const study = typeof named === "string" && isUid(named) ? named : newUid();
  const uids: DicomJson = {
    [sopClassUid]: { vr: "UI", Value: [classUid] },
    [sopInstanceUid]: { vr: "UI", Value: [newUid()] },
    [studyUid]: { vr: "UI", Value: [study] },
    [seriesUid]: { vr: "UI", Value: [newUid()] },
  };
  if (!isEmpty(given[sopClassUid])) return completed(given, uids);
  const known = (await findStudy(study)) ?? {};
  const isSamePatient = !patientKeys.some((tag) => contradicts(given[tag], known[tag], tag === patientId));
  const inherited: DicomJson = {};
  for (const tag of ofStudy) {
    const attribute = known[tag];
    if (attribute && !isEmpty(attribute) && (isSamePatient || !tag.startsWith("0010"))) inherited[tag] = attribute;
  }
  return completed(given, { ...uids, ...emptyPatientAndStudy, ...inherited });
}

/** Whether `given` has another value than `known`; one of which nothing is known only with `strictly`. */
function contradicts(given: JsonAttribute | undefined, known: JsonAttribute | undefined, strictly: boolean): boolean {
  if (isEmpty(given) || (isEmpty(known) && !strictly)) return false;
  return !isDeepStrictEqual(given?.Value, known?.Value);
}
