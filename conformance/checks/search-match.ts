/** Kinds of matching (PS3.18 8.3.4, PS3.4 C.2.2.2). */
import type { Check, Checks } from "../check.ts";
import { expectMatch, expectNone } from "../find.ts";
import type { QueryPairs, Session } from "../session.ts";

/** A search of studies for fixture ct of patient A against that of patient B. */
function adaNotTaro(queryOf: (session: Session) => QueryPairs): Check {
  return async (session) => {
    const { mr, cine } = session.fixtures;
    await expectMatch(session, "study", queryOf(session), { hit: session.need(mr), miss: session.need(cine) });
  };
}

/** The same the other way round. */
function taroNotAda(queryOf: (session: Session) => QueryPairs): Check {
  return async (session) => {
    const { mr, cine } = session.fixtures;
    await expectMatch(session, "study", queryOf(session), { hit: session.need(cine), miss: session.need(mr) });
  };
}

const dayBefore = (date: string) => String(Number(date) - 1);
const dayAfter = (date: string) => String(Number(date) + 1);

export const searchMatchChecks: Checks = {
  "single-value-miss": (session) => expectNone(session, "study", { PatientID: `${session.run.patientId("A")}0` }),
  "single-value-is-whole": (session) =>
    expectNone(session, "study", { PatientID: session.run.patientId("A").slice(0, -1) }),
  "two-keys-both-match": async (session) => {
    const { run } = session;
    await expectNone(session, "study", { PatientID: run.patientId("A"), AccessionNumber: `AC${run.token}9` });
  },
  "two-keys-narrow": async (session) => {
    const { mr, photo, run } = { ...session.fixtures, run: session.run };
    const query = { PatientID: run.patientId("A"), AccessionNumber: `AC${run.token}1` };
    await expectMatch(session, "study", query, { hit: session.need(mr), miss: session.need(photo) });
  },
  "uid-list-comma": async (session) => {
    const { mr, cine, photo } = session.fixtures;
    const query = { StudyInstanceUID: `${mr.studyInstanceUid},${cine.studyInstanceUid}` };
    await expectMatch(session, "study", query, { hit: session.need(mr), miss: session.need(photo) });
    await expectMatch(session, "study", query, { hit: session.need(cine), miss: photo });
  },
  "uid-list-backslash": async (session) => {
    const { mr, cine, photo } = session.fixtures;
    const query = { StudyInstanceUID: `${mr.studyInstanceUid}\\${cine.studyInstanceUid}` };
    await expectMatch(session, "study", query, { hit: session.need(mr), miss: session.need(photo) });
    await expectMatch(session, "study", query, { hit: session.need(cine), miss: photo });
  },
  "uid-list-of-series": async (session) => {
    const { mr, cine, photo } = session.fixtures;
    const query = { SeriesInstanceUID: `${mr.seriesInstanceUid},${cine.seriesInstanceUid}` };
    await expectMatch(session, "series", query, { hit: session.need(mr), miss: session.need(photo) });
  },
  "uid-list-of-instances": async (session) => {
    const [first, second, third] = session.fixtures.ct.map((instance) => session.need(instance));
    if (!first || !second || !third) throw new TypeError("the fixture has three instances");
    const query = { SOPInstanceUID: `${first.sopInstanceUid},${second.sopInstanceUid}` };
    await expectMatch(session, "instance", query, { hit: second, miss: third });
  },
  "universal-empty": taroNotAda(({ run }) => ({ PatientID: run.patientId("B"), StudyDescription: "" })),
  "universal-star": taroNotAda(({ run }) => ({ PatientID: run.patientId("B"), StudyDescription: "*" })),
  "wildcard-star-end": adaNotTaro(({ run }) => ({ AccessionNumber: `AC${run.token}*` })),
  "wildcard-star-start": adaNotTaro(({ run }) => ({ AccessionNumber: `*${run.token}1` })),
  "wildcard-star-inside": adaNotTaro(({ run }) => ({ AccessionNumber: `A*${run.token.slice(2)}1` })),
  "wildcard-star-matches-nothing": adaNotTaro(({ run }) => ({ AccessionNumber: `AC${run.token}1*` })),
  "wildcard-question": adaNotTaro(({ run }) => ({ AccessionNumber: `AC${run.token}?` })),
  "wildcard-question-is-one": (session) =>
    expectNone(session, "study", { AccessionNumber: `AC${session.run.token}1?` }),
  "wildcard-name": adaNotTaro(({ run }) => ({ PatientName: `Conf${run.letters}*` })),
  "wildcard-name-component": adaNotTaro(({ run }) => ({ PatientName: `Conf${run.letters}^A*` })),
  "wildcard-id": async (session) => {
    const { run, fixtures } = session;
    const query = { PatientID: `CF-${run.token}-?` };
    await expectMatch(session, "study", query, {
      hit: session.need(fixtures.mr),
      miss: session.need(fixtures.named[11]),
    });
  },
  "wildcard-percent-is-literal": (session) => expectNone(session, "study", { PatientID: `CF-${session.run.token}-%*` }),
  "wildcard-underscore-is-literal": (session) =>
    expectNone(session, "study", { PatientID: `CF-${session.run.token}_*` }),
  "text-comma-is-literal": adaNotTaro(({ run }) => ({ StudyDescription: `Chest, PA & lateral 100% ${run.token}` })),
  "text-comma-wildcard": adaNotTaro(({ run }) => ({ StudyDescription: `Chest, PA*100% ${run.token}` })),
  "text-case-sensitive": (session) =>
    expectNone(session, "study", { PatientID: `cf-${session.run.token.toLowerCase()}-A` }),
  "name-alphabetic": taroNotAda(({ run }) => ({ PatientName: `Yamada${run.letters}^Tarou` })),
  "name-ideographic": taroNotAda(({ run }) => ({ PatientName: "=山田^太郎", PatientID: run.patientId("B") })),
  "name-any-group": taroNotAda(({ run }) => ({ PatientName: "山田^太郎", PatientID: run.patientId("B") })),
  "name-ideographic-wildcard": taroNotAda(({ run }) => ({ PatientName: "山*", PatientID: run.patientId("B") })),
  "name-ideographic-miss": (session) =>
    expectNone(session, "study", { PatientName: "鈴木*", PatientID: session.run.patientId("B") }),
  "name-case": adaNotTaro(({ run }) => ({ PatientName: `CONF${run.letters.toUpperCase()}^ADA^MARY` })),
  "name-umlaut": taroNotAda(({ run }) => ({ ReferringPhysicianName: `Müller${run.letters}^Jörg` })),
  "range-date-both": adaNotTaro(({ run }) => ({ StudyDate: `${run.date("ct")}-${run.date("ct")}` })),
  "range-date-around": adaNotTaro(({ run }) => ({
    StudyDate: `${dayBefore(run.date("ct"))}-${dayAfter(run.date("ct"))}`,
    PatientID: run.patientId("?"),
    StudyID: `ID${run.token}1`,
  })),
  "range-date-from": async (session) => {
    const { run } = session;
    await expectMatch(
      session,
      "study",
      { StudyDate: `${run.date("ct")}-`, AccessionNumber: `AC${run.token}1` },
      { hit: session.need(session.fixtures.mr), miss: session.fixtures.cine },
    );
    await expectNone(session, "study", {
      StudyDate: `${dayAfter(run.date("ct"))}-`,
      AccessionNumber: `AC${run.token}1`,
    });
  },
  "range-date-to": async (session) => {
    const { run } = session;
    await expectMatch(
      session,
      "study",
      { StudyDate: `-${run.date("ct")}`, AccessionNumber: `AC${run.token}1` },
      { hit: session.need(session.fixtures.mr), miss: session.fixtures.cine },
    );
    await expectNone(session, "study", {
      StudyDate: `-${dayBefore(run.date("ct"))}`,
      AccessionNumber: `AC${run.token}1`,
    });
  },
  "range-time-both": adaNotTaro(({ run }) => ({ StudyTime: "1010-1012", PatientID: `CF-${run.token}-*` })),
  "range-time-from": taroNotAda(({ run }) => ({ StudyTime: "2300-", PatientID: `CF-${run.token}-*` })),
  "range-time-to": adaNotTaro(({ run }) => ({ StudyTime: "-1100", PatientID: `CF-${run.token}-*` })),
  "time-hour-precision": adaNotTaro(({ run }) => ({ StudyTime: "10-10", PatientID: `CF-${run.token}-*` })),
  "range-date-time-combined": async (session) => {
    const { run } = session;
    // The study began at 10:11:12, so that a combined range from 12:00 of the day before to 10:12 of the day holds it.
    const query = {
      StudyDate: `${dayBefore(run.date("ct"))}-${run.date("ct")}`,
      StudyTime: "120000-101200",
      PatientID: run.patientId("A"),
    };
    const { mr, photo } = session.fixtures;
    await expectMatch(session, "study", query, { hit: session.need(mr), miss: photo });
  },
  "range-datetime": async (session) => {
    const [first, , third] = session.fixtures.ct.map((instance) => session.need(instance));
    if (!first || !third) throw new TypeError("the fixture has three instances");
    const day = session.run.date("ct");
    const query = { AcquisitionDateTime: `${day}101301-${day}101302.9`, PatientID: session.run.patientId("A") };
    await expectMatch(session, "instance", query, { hit: first, miss: third });
  },
  "sequence-dotted-keywords": adaSeries(({ run }) => ({
    "RequestAttributesSequence.ScheduledProcedureStepID": `SP${run.token}2`,
  })),
  "sequence-dotted-tags": adaSeries(({ run }) => ({ "00400275.00401001": `RP${run.token}1` })),
  "sequence-same-item": async (session) => {
    const { run } = session;
    const step = "RequestAttributesSequence.ScheduledProcedureStepID";
    const procedure = "RequestAttributesSequence.RequestedProcedureID";
    await expectMatch(
      session,
      "series",
      { [step]: `SP${run.token}2`, [procedure]: `RP${run.token}2` },
      { hit: session.need(session.fixtures.ct[0]), miss: session.need(session.fixtures.mr) },
    );
    await expectNone(session, "series", { [step]: `SP${run.token}2`, [procedure]: `RP${run.token}1` });
  },
  "sequence-wildcard": adaSeries(({ run }) => ({
    "RequestAttributesSequence.RequestedProcedureID": `RP${run.token}*`,
  })),
  "parent-key-series": adaSeries(({ run }) => ({ PatientID: run.patientId("A"), Modality: "CT" })),
  "parent-key-instance": async (session) => {
    const { ct, mr } = session.fixtures;
    const query = { PatientID: session.run.patientId("A"), Modality: "CT", StudyID: `ID${session.run.token}1` };
    await expectMatch(session, "instance", query, { hit: session.need(ct[2]), miss: session.need(mr) });
  },
  "modalities-in-study-any": async (session) => {
    const { mr, photo } = session.fixtures;
    for (const ModalitiesInStudy of ["CT", "MR"]) {
      const query = { ModalitiesInStudy, PatientID: session.run.patientId("A") };
      await expectMatch(session, "study", query, { hit: session.need(mr), miss: session.need(photo) });
    }
  },
  "modalities-in-study-list": async (session) => {
    const query = { ModalitiesInStudy: "US,MR", PatientID: session.run.patientId("A") };
    const { mr, photo, document } = session.fixtures;
    await expectMatch(session, "study", query, { hit: session.need(mr), miss: session.need(document) });
    await expectMatch(session, "study", query, { hit: session.need(photo), miss: document });
  },
  "empty-value-matching": async (session) => {
    const { cine, mr, run } = { ...session.fixtures, run: session.run };
    const query = { AccessionNumber: '""', emptyvaluematching: "true", PatientID: `CF-${run.token}-?` };
    await expectMatch(session, "study", query, { hit: session.need(cine), miss: session.need(mr) });
  },
  "multiple-value-matching": async (session) => {
    const { photo, mr } = session.fixtures;
    const both = { PatientID: session.run.patientId("A"), multiplevaluematching: "true" };
    const wanted = { hit: session.need(mr), miss: session.need(photo) };
    await expectMatch(session, "study", { ModalitiesInStudy: "CT\\MR", ...both }, wanted);
    await expectNone(session, "study", { ModalitiesInStudy: "CT\\US", ...both });
  },
  "fuzzy-case": adaNotTaro(({ run }) => ({ PatientName: `conf${run.letters} ada`, fuzzymatching: "true" })),
  "fuzzy-word-order": adaNotTaro(({ run }) => ({ PatientName: `ada conf${run.letters}`, fuzzymatching: "true" })),
  "fuzzy-accents": taroNotAda(({ run }) => ({
    ReferringPhysicianName: `Muller${run.letters} Jorg`,
    fuzzymatching: "true",
  })),
  "fuzzy-phonetic": adaNotTaro(({ run }) => ({
    PatientName: `Konf${run.letters}^Ada`,
    PatientID: run.patientId("A"),
    fuzzymatching: "true",
  })),
  "fuzzy-miss": (session) =>
    expectNone(session, "study", {
      PatientName: "Zwirbelmoser",
      PatientID: session.run.patientId("A"),
      fuzzymatching: "true",
    }),
  "fuzzy-false-is-literal": (session) =>
    expectNone(session, "study", { PatientName: `ada conf${session.run.letters}`, fuzzymatching: "false" }),
};

/** A search of series for the CT series against the MR series of the same study. */
function adaSeries(queryOf: (session: Session) => QueryPairs): Check {
  return async (session) => {
    const { ct, mr } = session.fixtures;
    await expectMatch(session, "series", queryOf(session), { hit: session.need(ct[0]), miss: session.need(mr) });
  };
}
