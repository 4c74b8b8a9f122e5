/** Keys of searches (PS3.18 10.6.1.2), one by one, by keyword and by tag. */
import type { Check, Checks } from "../check.ts";
import { tagOf } from "../dictionary.ts";
import { expectMatch, type QueryLevel, resources, type Wanted } from "../find.ts";
import type { Session } from "../session.ts";

/** Keys that PS3.18 Table 10.6.1-5 demands at each level, with a value of fixture `ct` that no other fixture has. */
const requiredKeys: readonly (readonly [level: QueryLevel, keyword: string, valueOf: (session: Session) => string])[] =
  [
    ["study", "StudyDate", ({ run }) => run.date("ct")],
    ["study", "StudyTime", () => "101112.345"],
    ["study", "AccessionNumber", ({ run }) => `AC${run.token}1`],
    ["study", "ModalitiesInStudy", () => "MR"],
    ["study", "ReferringPhysicianName", ({ run }) => `Refer${run.letters}^Rosa`],
    ["study", "PatientName", ({ run }) => `Conf${run.letters}^Ada^Mary`],
    ["study", "PatientID", ({ run }) => run.patientId("A")],
    ["study", "StudyInstanceUID", ({ fixtures }) => fixtures.mr.studyInstanceUid],
    ["study", "StudyID", ({ run }) => `ID${run.token}1`],
    ["series", "Modality", () => "MR"],
    ["series", "SeriesInstanceUID", ({ fixtures }) => fixtures.mr.seriesInstanceUid],
    ["series", "SeriesNumber", () => "8"],
    ["series", "PerformedProcedureStepStartDate", ({ run }) => run.date("step of mr")],
    ["series", "PerformedProcedureStepStartTime", () => "110000"],
    ["instance", "SOPClassUID", () => "1.2.840.10008.5.1.4.1.1.4"],
    ["instance", "SOPInstanceUID", ({ fixtures }) => fixtures.mr.sopInstanceUid],
    ["instance", "InstanceNumber", () => "1"],
  ];

/** Keys whose value every study of patient A shares: the miss is a study of patient B. */
const patientKeys = new Set([
  "PatientName",
  "PatientID",
  "ReferringPhysicianName",
  "PatientBirthDate",
  "PatientSex",
  "IssuerOfPatientID",
]);

/** Narrowed to the fixtures, so that other patients of the server do not matter where the value is a common one. */
function keyCheck(level: QueryLevel, keyword: string, valueOf: (session: Session) => string, name: string): Check {
  return async (session) => {
    const { mr, photo, cine } = session.fixtures;
    const value = valueOf(session);
    if (level === "study" && patientKeys.has(keyword)) {
      const narrow =
        keyword === "PatientSex" ? { StudyInstanceUID: `${mr.studyInstanceUid},${cine.studyInstanceUid}` } : {};
      await expectMatch(session, level, { [name]: value, ...narrow }, { hit: mr, miss: session.need(cine) });
    } else if (level === "study") {
      const query = { [name]: value, ...(keyword !== "StudyInstanceUID" && { PatientID: session.run.patientId("A") }) };
      await expectMatch(session, level, query, { hit: mr, miss: session.need(photo) });
    } else {
      const resource = `/studies/${mr.studyInstanceUid}${resources[level]}`;
      await expectMatch(session, level, { [name]: value }, { ...pairOf(session, keyword), resource });
    }
  };
}

/** A pair of series or instances of one study of which only the first has the value. */
function pairOf(session: Session, keyword: string): Wanted {
  const { ct, mr } = session.fixtures;
  const [first, second] = ct.map((instance) => session.need(instance));
  if (!first || !second) throw new TypeError("the fixture has three instances");
  if (["InstanceNumber", "ContentTime", "AcquisitionDateTime"].includes(keyword)) return { hit: first, miss: second };
  return ofMr.has(keyword) ? { hit: session.need(mr), miss: first } : { hit: first, miss: session.need(mr) };
}

/** Keys whose value in the tables is that of the MR series. */
const ofMr = new Set([
  "Modality",
  "SeriesInstanceUID",
  "SeriesNumber",
  "PerformedProcedureStepStartDate",
  "PerformedProcedureStepStartTime",
  "SOPClassUID",
  "SOPInstanceUID",
]);

const keyChecks: Checks = Object.fromEntries(
  requiredKeys.flatMap(([level, keyword, valueOf]) => [
    [`match-${level}-${keyword}`, keyCheck(level, keyword, valueOf, keyword)],
    [`match-${level}-${keyword}-tag`, keyCheck(level, keyword, valueOf, tagOf(keyword))],
  ]),
);

/** Keys that a server may match, with a value as above. */
const optionalKeys: readonly (readonly [level: QueryLevel, keyword: string, valueOf: (session: Session) => string])[] =
  [
    ["study", "StudyDescription", ({ run }) => `Chest, PA & lateral 100% ${run.token}`],
    ["study", "PatientBirthDate", ({ run }) => run.date("birth of A")],
    ["study", "PatientSex", () => "F"],
    ["study", "IssuerOfPatientID", ({ run }) => `ISS${run.token}`],
    ["study", "SOPClassesInStudy", () => "1.2.840.10008.5.1.4.1.1.2"],
    ["series", "SeriesDescription", ({ run }) => `Axial ${run.token}`],
    ["series", "BodyPartExamined", () => "CHEST"],
    ["series", "StationName", ({ run }) => `ST${run.token}`],
    ["series", "InstitutionName", ({ run }) => `Institute ${run.token}`],
    ["series", "ProtocolName", ({ run }) => `Protocol ${run.token}`],
    ["series", "SeriesDate", ({ run }) => run.date("ct")],
    ["instance", "ContentDate", ({ run }) => run.date("ct")],
    ["instance", "ContentTime", () => "101301"],
    ["instance", "AcquisitionDateTime", ({ run }) => `${run.date("ct")}101301.5`],
    ["instance", "Rows", () => "8"],
  ];

const optionalChecks: Checks = Object.fromEntries(
  optionalKeys.map(([level, keyword, valueOf]) => [
    `match-${level}-${keyword}`,
    keyCheck(level, keyword, valueOf, keyword),
  ]),
);

export const searchKeyChecks: Checks = { ...keyChecks, ...optionalChecks };
