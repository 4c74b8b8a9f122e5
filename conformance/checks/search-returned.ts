/** Attributes that searches answer (PS3.18 Tables 10.6.3-3, -4, -5), one by one. */
import type { Check, Checks } from "../check.ts";
import { textOf } from "../dicom-json.ts";
import { tagOf } from "../dictionary.ts";
import { expect } from "../expect.ts";
import { type QueryLevel, matchOf } from "../find.ts";
import type { Session } from "../session.ts";

/** Attributes of PS3.18 Tables 10.6.3-3, -4 and -5 and what they are for the MR instance; a function for what varies. */
const returned: Readonly<Record<QueryLevel, Readonly<Record<string, (session: Session) => string | RegExp>>>> = {
  study: {
    StudyDate: ({ run }) => run.date("ct"),
    StudyTime: () => /^101112(\.345)?/,
    AccessionNumber: ({ run }) => `AC${run.token}1`,
    InstanceAvailability: () => "ONLINE",
    ModalitiesInStudy: () => /^(CT|MR)$/,
    ReferringPhysicianName: ({ run }) => `Refer${run.letters}^Rosa`,
    TimezoneOffsetFromUTC: () => "+0100",
    RetrieveURL: ({ fixtures }) => new RegExp(`^https?://.+/studies/${fixtures.mr.studyInstanceUid}$`),
    PatientName: ({ run }) => `Conf${run.letters}^Ada^Mary`,
    PatientID: ({ run }) => run.patientId("A"),
    PatientBirthDate: ({ run }) => run.date("birth of A"),
    PatientSex: () => "F",
    StudyInstanceUID: ({ fixtures }) => fixtures.mr.studyInstanceUid,
    StudyID: ({ run }) => `ID${run.token}1`,
    NumberOfStudyRelatedSeries: () => "2",
    NumberOfStudyRelatedInstances: () => "4",
  },
  series: {
    Modality: () => "MR",
    TimezoneOffsetFromUTC: () => "+0100",
    SeriesDescription: ({ run }) => `Sagittal ${run.token}`,
    RetrieveURL: ({ fixtures }) => new RegExp(`/series/${fixtures.mr.seriesInstanceUid}$`),
    SeriesInstanceUID: ({ fixtures }) => fixtures.mr.seriesInstanceUid,
    SeriesNumber: () => "8",
    NumberOfSeriesRelatedInstances: () => "1",
    PerformedProcedureStepStartDate: ({ run }) => run.date("step of mr"),
    PerformedProcedureStepStartTime: () => /^110000/,
  },
  instance: {
    SOPClassUID: ({ fixtures }) => fixtures.mr.sopClassUid,
    SOPInstanceUID: ({ fixtures }) => fixtures.mr.sopInstanceUid,
    InstanceAvailability: () => "ONLINE",
    TimezoneOffsetFromUTC: () => "+0100",
    RetrieveURL: ({ fixtures }) => new RegExp(`/instances/${fixtures.mr.sopInstanceUid}$`),
    InstanceNumber: () => "1",
    Rows: () => "4",
    Columns: () => "4",
    BitsAllocated: () => "16",
  },
};

export const searchReturnedChecks: Checks = Object.fromEntries(
  Object.entries(returned).flatMap(([level, attributes]) =>
    Object.entries(attributes).map(([keyword, valueOf]): [string, Check] => [
      `returned-${level}-${keyword}`,
      async (session) => {
        const kind = level === "study" || level === "series" ? level : "instance";
        const actual = textOf(await matchOf(session, kind), keyword);
        expect(actual !== undefined, `${keyword} (${tagOf(keyword)}) is not in the answer.`);
        const expected = valueOf(session);
        const isRight = typeof expected === "string" ? actual === expected : expected.test(actual);
        expect(isRight, `${keyword} is ${actual} instead of ${String(expected)}.`);
      },
    ]),
  ),
);
