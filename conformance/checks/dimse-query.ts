/** Query (PS3.4 C): C-FIND, by DCMTK and byte by byte. */
import type { Checks } from "../check.ts";
import { textOf } from "../dicom-json.ts";
import { dcmtk } from "../dcmtk.ts";
import { Association } from "../dimse/association.ts";
import { field, request } from "../dimse/command.ts";
import { find, found, identifier, keysOf, model } from "../dimse/query.ts";
import { expect, expectEqual } from "../expect.ts";
import type { Session } from "../session.ts";
import { type DataSet, transferSyntax } from "../write-dicom.ts";

const studyUid = "0020000D";
const seriesUid = "0020000E";
const instanceUid = "00080018";
const patientId = "00100020";

/** Expects these studies, and no others, of those of the run. */
async function expectStudies(session: Session, keys: DataSet, expected: readonly string[]): Promise<void> {
  const own = { PatientID: `CF-${session.run.token}-*` };
  const studies = await found(session, "study", "STUDY", { StudyInstanceUID: "", ...own, ...keys }, studyUid);
  expectEqual(studies, expected.toSorted(), "The studies that are found");
}

export const dimseQueryChecks: Checks = {
  "dimse-find-findscu": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const keys = ["0008,0052=STUDY", `0020,000D=${mr.studyInstanceUid}`, "0010,0020", "0008,0061"];
    const args = ["-v", "-S", ...keys.flatMap((key) => ["-k", key])];
    const { status, output } = await dcmtk("findscu", session.dimse, args);
    expect(status === 0, `findscu ended with ${status}: ${output.slice(-200)}`);
    expectEqual(output.match(/Find Response: \d+ \(Pending\)/g)?.length, 1, "The number of answers");
    expect(output.includes(session.run.patientId("A")), "The answer has no Patient ID.");
    expect(/\(0008,0061\) CS \[(CT\\MR|MR\\CT)/.test(output), "The answer has not both modalities.");
  },
  "dimse-find-patient": async (session) => {
    const id = session.run.patientId("A");
    const patients = await found(session, "patient", "PATIENT", { PatientID: id, PatientName: "" }, patientId);
    expectEqual(patients, [id], "The patients that are found");
  },
  "dimse-find-patient-studies": async (session) => {
    const { mr, photo } = session.fixtures;
    const keys = { PatientID: session.run.patientId("A"), StudyInstanceUID: "" };
    const studies = await found(session, "patient", "STUDY", keys, studyUid);
    expectEqual(studies, [mr.studyInstanceUid, photo.studyInstanceUid].toSorted(), "The studies of the patient");
  },
  "dimse-find-series": async (session) => {
    const { mr, ct } = session.fixtures;
    const keys = { StudyInstanceUID: mr.studyInstanceUid, SeriesInstanceUID: "", Modality: "" };
    const series = await found(session, "study", "SERIES", keys, seriesUid);
    expectEqual(series, [mr.seriesInstanceUid, ct[0]?.seriesInstanceUid ?? ""].toSorted(), "The series of the study");
  },
  "dimse-find-instances": async (session) => {
    const { ct } = session.fixtures;
    const [first] = ct;
    const keys = { StudyInstanceUID: first?.studyInstanceUid ?? "", SeriesInstanceUID: first?.seriesInstanceUid ?? "" };
    const instances = await found(session, "study", "IMAGE", { ...keys, SOPInstanceUID: "" }, instanceUid);
    expectEqual(instances, ct.map(({ sopInstanceUid }) => sopInstanceUid).toSorted(), "The instances of the series");
  },
  "dimse-find-keys": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const keys = { StudyInstanceUID: mr.studyInstanceUid, AccessionNumber: "", StudyDescription: "", StudyDate: "" };
    const { matches } = await find(session, "study", "STUDY", keys);
    const [match] = matches;
    expectEqual(match?.get("00080050"), `AC${session.run.token}1`, "Accession Number");
    expectEqual(match?.get("00080052"), "STUDY", "Query/Retrieve Level");
    expectEqual(match?.get("00080020"), session.run.date("ct"), "Study Date");
    expect(match?.has("00100010") === false, "Patient's Name is answered, which nobody asked for.");
  },
  "dimse-find-retrieve-aet": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const { matches } = await find(session, "study", "STUDY", { StudyInstanceUID: mr.studyInstanceUid });
    expectEqual(matches[0]?.get("00080054"), session.dimse.aeTitle, "Retrieve AE Title");
  },
  "dimse-find-single": async (session) => {
    const { mr } = session.fixtures;
    await expectStudies(session, { AccessionNumber: `AC${session.run.token}1` }, [mr.studyInstanceUid]);
    await expectStudies(session, { AccessionNumber: `AC${session.run.token}` }, []);
  },
  "dimse-find-wildcard": async (session) => {
    const { mr, photo } = session.fixtures;
    const both = [mr.studyInstanceUid, photo.studyInstanceUid];
    await expectStudies(session, { AccessionNumber: `AC${session.run.token}?` }, both);
    await expectStudies(session, { AccessionNumber: `*${session.run.token}3` }, [photo.studyInstanceUid]);
  },
  "dimse-find-uid-list": async (session) => {
    const { mr, photo, cine } = session.fixtures;
    const both = [photo.studyInstanceUid, cine.studyInstanceUid];
    await expectStudies(session, { StudyInstanceUID: [...both, session.run.uid("never stored")] }, both);
    await expectStudies(session, { StudyInstanceUID: mr.studyInstanceUid }, [mr.studyInstanceUid]);
  },
  "dimse-find-range": async (session) => {
    const { mr } = session.fixtures;
    const date = Number(session.run.date("ct"));
    const accession = { AccessionNumber: `AC${session.run.token}1` };
    await expectStudies(session, { StudyDate: `${date - 1}-${date + 1}`, ...accession }, [mr.studyInstanceUid]);
    await expectStudies(session, { StudyDate: `${date}-`, ...accession }, [mr.studyInstanceUid]);
    await expectStudies(session, { StudyDate: `${date + 1}-`, ...accession }, []);
    await expectStudies(session, { StudyDate: `-${date - 1}`, ...accession }, []);
  },
  "dimse-find-modalities": async (session) => {
    const { mr } = session.fixtures;
    await expectStudies(session, { ModalitiesInStudy: "MR" }, [mr.studyInstanceUid]);
  },
  "dimse-find-sequence": async (session) => {
    const { ct } = session.fixtures;
    const [first] = ct;
    const scheduled = (id: string): DataSet => ({
      StudyInstanceUID: first?.studyInstanceUid ?? "",
      SeriesInstanceUID: "",
      RequestAttributesSequence: [{ ScheduledProcedureStepID: id, RequestedProcedureID: "" }],
    });
    const series = (id: string) => found(session, "study", "SERIES", scheduled(id), seriesUid);
    expectEqual(await series(`SP${session.run.token}2`), [first?.seriesInstanceUid], "The series of the step");
    expectEqual(await series(`SP${session.run.token}9`), [], "The series of no step");
  },
  "dimse-find-none": async (session) => {
    const { matches, status } = await find(session, "study", "STUDY", { StudyInstanceUID: session.run.uid("never") });
    expectEqual([matches.length, status], [0, 0], "The number of answers, and the status");
  },
  "dimse-find-name-in-utf8": async (session) => {
    const cine = session.need(session.fixtures.cine);
    const keys = { SpecificCharacterSet: "ISO_IR 192", StudyInstanceUID: cine.studyInstanceUid, PatientName: "" };
    const { matches } = await find(session, "study", "STUDY", keys);
    expectEqual(matches[0]?.get("00080005"), "ISO_IR 192", "Specific Character Set");
    const name = `Yamada${session.run.letters}^Tarou=山田^太郎=やまだ^たろう`;
    expectEqual(matches[0]?.get("00100010"), name, "Patient's Name");
  },
  "dimse-find-by-ideographic-name": async (session) => {
    const { cine } = session.fixtures;
    const keys = {
      SpecificCharacterSet: "ISO_IR 192",
      PatientID: session.run.patientId("B"),
      PatientName: "*=山田^太郎*",
    };
    await expectStudies(session, keys, [cine.studyInstanceUid]);
  },
  "dimse-find-unknown-level": async (session) => {
    const { status } = await find(session, "study", "ROOM", { StudyInstanceUID: "" });
    expectEqual(status, 0xa900, "The status of a level that there is not");
  },
  "dimse-find-no-patient-in-study-root": async (session) => {
    const { status } = await find(session, "study", "PATIENT", { PatientID: "" });
    expectEqual(status, 0xa900, "The status of level PATIENT in the Study Root model");
  },
  "dimse-find-missing-unique-key": async (session) => {
    const { matches, status } = await find(session, "study", "IMAGE", { SOPInstanceUID: "" });
    expectEqual([matches.length, status], [0, 0xa900], "Answers and status without the unique keys above");
  },
  "dimse-find-cancel": async (session) => {
    const sopClass = model.study.find;
    const contexts = [{ id: 1, abstractSyntax: sopClass, transferSyntaxes: [transferSyntax.implicitLittle] }];
    const association = await Association.open(session.dimse, contexts);
    const command = { [field.command]: request.find, [field.affectedSopClass]: sopClass, [field.messageId]: 7 };
    await association.send({ ...command, [field.priority]: 0 }, identifier("STUDY", { StudyInstanceUID: "" }));
    await association.send({ [field.command]: request.cancel, [field.respondedTo]: 7 });
    let status = 0xff00;
    while (status === 0xff00 || status === 0xff01) {
      status = Number((await association.receive()).command[field.status]);
    }
    // All may have been answered before the cancellation came.
    expect(status === 0xfe00 || status === 0, `The status after C-CANCEL is ${status.toString(16)}H.`);
    const again = await find(session, "study", "STUDY", keysOf(session.need(session.fixtures.mr), "STUDY"));
    expectEqual(again.matches.length, 1, "The number of answers afterwards");
    await association.release();
  },
  "dimse-find-as-qido": async (session) => {
    const query = { PatientID: `CF-${session.run.token}-*` };
    const byDimse = await found(session, "study", "STUDY", { StudyInstanceUID: "", ...query }, studyUid);
    const byWeb = await session.matches("/studies", { ...query, limit: "1000" });
    expect(byDimse.length > 5, `Only ${byDimse.length} studies are found.`);
    expectEqual(byDimse, byWeb.map((one) => textOf(one, "StudyInstanceUID") ?? "").toSorted(), "Studies by C-FIND");
  },
};
