/** Answers of searches (PS3.18 10.6.3): resources, includefield, paging, warnings, media types. */
import type { Check, Checks } from "../check.ts";
import { attributeOf, dataSetsOf, itemsOf, textOf, valuesOf } from "../dicom-json.ts";
import { tagOf } from "../dictionary.ts";
import { expect, expectEqual, expectParts, expectStatus, expectType } from "../expect.ts";
import { matchOf } from "../find.ts";
import { type Answer, header } from "../http.ts";
import { media, pathsOf, type QueryPairs, type Session, warns } from "../session.ts";

/** A search of a resource answers one match for each of these. */
function countOf(pathOf: (session: Session) => string, expected: number): Check {
  return async (session) => {
    session.fixtures.ct.forEach((instance) => session.need(instance));
    session.need(session.fixtures.mr);
    expectEqual((await session.matches(pathOf(session))).length, expected, "The number of matches");
  };
}

/** The studies of patient A, in an order that the server keeps. */
function studiesOfAda(session: Session, query: QueryPairs): Promise<Answer> {
  return session.search("/studies", { PatientID: session.run.patientId("A"), ...query });
}

export const searchAnswerChecks: Checks = {
  "search-studies": countOf((session) => `/studies?StudyInstanceUID=${session.fixtures.mr.studyInstanceUid}`, 1),
  "search-series": countOf((session) => `/series?StudyInstanceUID=${session.fixtures.mr.studyInstanceUid}`, 2),
  "search-instances": countOf((session) => `/instances?StudyInstanceUID=${session.fixtures.mr.studyInstanceUid}`, 4),
  "search-study-series": countOf((session) => `${pathsOf(session.fixtures.mr).study}/series`, 2),
  "search-study-instances": countOf((session) => `${pathsOf(session.fixtures.mr).study}/instances`, 4),
  "search-series-instances": async (session) => {
    const [first] = session.fixtures.ct;
    const found = await session.matches(`${pathsOf(session.need(first)).series}/instances`);
    expectEqual(found.length, 3, "The number of matches");
  },
  "search-nothing": async (session) => {
    const answer = expectStatus(
      await session.search("/studies", { StudyInstanceUID: session.run.uid("never") }),
      200,
      204,
    );
    expectEqual(dataSetsOf(answer).length, 0, "The number of matches");
  },
  "search-retrieve-urls": async (session) => {
    for (const level of ["study", "series", "instance"] as const) {
      const url = textOf(await matchOf(session, level), "RetrieveURL") ?? "";
      expect(url !== "", `A ${level} has no Retrieve URL.`);
      const answer = expectStatus(await session.requestUrl(url, { headers: { Accept: media.dicom } }), 200);
      expect(
        answer.body.includes(session.fixtures.mr.file),
        `The Retrieve URL of a ${level} does not give the instance.`,
      );
    }
  },
  "warning-format": async (session) => {
    const answer = await studiesOfAda(session, { PixelSpacing: "1" });
    const warning = header(answer, "warning");
    expect(answer.status === 400 || /^299 \S+:? "?\S/.test(warning), `Warning is ${warning || "absent"}.`);
  },
  "search-json": async (session) => {
    const answer = expectStatus(await studiesOfAda(session, {}), 200);
    expectType(answer, "application/dicom+json");
    expectEqual(dataSetsOf(answer).length, 2, "The number of matches");
  },
  "search-xml": async (session) => {
    const answer = await session.search("/studies", { PatientID: session.run.patientId("A") }, media.xml);
    const parts = expectParts(expectStatus(answer, 200), "application/dicom+xml");
    expectEqual(parts.length, 2, "The number of parts");
    expect(
      parts.every(({ body }) => body.includes("NativeDicomModel")),
      "A part is not a Native DICOM Model.",
    );
  },
  "search-xml-series": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    const parts = expectParts(
      expectStatus(await session.get(`${study}/series`, media.xml), 200),
      "application/dicom+xml",
    );
    expectEqual(parts.length, 2, "The number of parts");
    expect(parts[0]?.body.includes('keyword="SeriesInstanceUID"') === true, "A part has no Series Instance UID.");
  },
  "search-any-media-type": async (session) => {
    const answer = await session.search("/studies", { PatientID: session.run.patientId("A") }, "*/*");
    expectType(expectStatus(answer, 200), "application/dicom+json");
  },
  "search-not-acceptable": async (session) => {
    expectStatus(await session.search("/studies", {}, "image/png"), 406);
  },
  "search-modalities-all": async (session) => {
    const values = valuesOf(await matchOf(session, "study"), "ModalitiesInStudy");
    expect(values.includes("CT") && values.includes("MR") && values.length === 2, `They are ${values.join(", ")}.`);
  },
  "search-request-attributes": async (session) => {
    const [first] = session.fixtures.ct;
    const query = { SeriesInstanceUID: session.need(first).seriesInstanceUid };
    const [match] = await session.matches("/series", query);
    const items = itemsOf(match, "RequestAttributesSequence");
    const steps = items.map((item) => textOf(item, "ScheduledProcedureStepID"));
    const procedures = items.map((item) => textOf(item, "RequestedProcedureID"));
    const { token } = session.run;
    expectEqual(steps, [`SP${token}1`, `SP${token}2`], "Scheduled Procedure Step ID");
    expectEqual(procedures, [`RP${token}1`, `RP${token}2`], "Requested Procedure ID");
  },
  "search-number-of-frames": async (session) => {
    const cine = session.need(session.fixtures.cine);
    const [match] = await session.matches("/instances", { SOPInstanceUID: cine.sopInstanceUid });
    expectEqual(textOf(match, "NumberOfFrames"), "3", "Number of Frames");
  },
  "search-empty-attribute": async (session) => {
    const cine = session.need(session.fixtures.cine);
    const [match] = await session.matches("/studies", { StudyInstanceUID: cine.studyInstanceUid });
    const attribute = attributeOf(match, "AccessionNumber");
    expect(attribute !== undefined, "The empty Accession Number, of type 2, is not in the answer.");
    expectEqual(attribute.Value ?? [], [], "Its values");
  },
  "search-series-with-study-attributes": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const [match] = await session.matches("/series", { SeriesInstanceUID: mr.seriesInstanceUid });
    expectEqual(textOf(match, "StudyInstanceUID"), mr.studyInstanceUid, "Study Instance UID");
    expectEqual(textOf(match, "PatientID"), session.run.patientId("A"), "Patient ID");
  },
  "search-instances-with-parent-attributes": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const [match] = await session.matches("/instances", { SOPInstanceUID: mr.sopInstanceUid });
    expectEqual(textOf(match, "StudyInstanceUID"), mr.studyInstanceUid, "Study Instance UID");
    expectEqual(textOf(match, "PatientID"), session.run.patientId("A"), "Patient ID");
    expectEqual(textOf(match, "SeriesInstanceUID"), mr.seriesInstanceUid, "Series Instance UID");
    expectEqual(textOf(match, "Modality"), "MR", "Modality");
  },
  "search-study-instances-with-series-attributes": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const query = { SOPInstanceUID: mr.sopInstanceUid };
    const [match] = await session.matches(`${pathsOf(mr).study}/instances`, query);
    expectEqual(textOf(match, "SeriesInstanceUID"), mr.seriesInstanceUid, "Series Instance UID");
    expectEqual(textOf(match, "Modality"), "MR", "Modality");
  },
  "includefield-keyword": async (session) => {
    const match = await matchOf(session, "study", { includefield: "StudyDescription" });
    expectEqual(
      textOf(match, "StudyDescription"),
      `Chest, PA & lateral 100% ${session.run.token}`,
      "Study Description",
    );
  },
  "includefield-tag": async (session) => {
    const match = await matchOf(session, "study", { includefield: "00081030" });
    expectEqual(
      textOf(match, "StudyDescription"),
      `Chest, PA & lateral 100% ${session.run.token}`,
      "Study Description",
    );
  },
  "includefield-list": async (session) => {
    const match = await matchOf(session, "study", { includefield: "StudyDescription,00100021" });
    expect(textOf(match, "StudyDescription") !== undefined, "Study Description is missing.");
    expectEqual(textOf(match, "IssuerOfPatientID"), `ISS${session.run.token}`, "Issuer of Patient ID");
  },
  "includefield-repeated": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const query = `StudyInstanceUID=${mr.studyInstanceUid}&includefield=StudyDescription&includefield=00100021`;
    const [match] = await session.matches(`/studies?${query}`);
    expect(textOf(match, "StudyDescription") !== undefined, "Study Description is missing.");
    expect(textOf(match, "IssuerOfPatientID") !== undefined, "Issuer of Patient ID is missing.");
  },
  "includefield-all": async (session) => {
    const match = await matchOf(session, "study", { includefield: "all" });
    expect(textOf(match, "StudyDescription") !== undefined, "Study Description is missing.");
  },
  "includefield-all-series": async (session) => {
    const [first] = session.fixtures.ct;
    const query = { SeriesInstanceUID: session.need(first).seriesInstanceUid, includefield: "all" };
    const [match] = await session.matches("/series", query);
    expectEqual(textOf(match, "BodyPartExamined"), "CHEST", "Body Part Examined");
  },
  "includefield-parent-level": async (session) => {
    const match = await matchOf(session, "series", { includefield: "PatientName" });
    expectEqual(textOf(match, "PatientName"), `Conf${session.run.letters}^Ada^Mary`, "Patient's Name");
  },
  "includefield-lower-level": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const answer = await session.search("/studies", { StudyInstanceUID: mr.studyInstanceUid, includefield: "Rows" });
    const [match] = dataSetsOf(expectStatus(answer, 200));
    expect(match !== undefined && !(tagOf("Rows") in match), "Rows is among the attributes of a study.");
  },
  "includefield-instance-attribute": async (session) => {
    const [first] = session.fixtures.ct;
    const query = { SOPInstanceUID: session.need(first).sopInstanceUid, includefield: "WindowCenter" };
    const [match] = await session.matches("/instances", query);
    expectEqual(Number(textOf(match, "WindowCenter")), 400, "Window Center");
  },
  "includefield-private": async (session) => {
    const forms = session.need(session.fixtures.forms);
    const query = { SOPInstanceUID: forms.sopInstanceUid, includefield: "0009100B" };
    const [match] = await session.matches("/instances", query);
    expectEqual(textOf(match, "0009100B:ST"), "Short text", "The private attribute");
    expectEqual(textOf(match, "00090010:LO"), "NOCTIS CONFORMANCE", "Its Private Creator");
  },
  "match-key-is-returned": async (session) => {
    const [first] = session.fixtures.ct;
    const query = { SeriesInstanceUID: session.need(first).seriesInstanceUid, BodyPartExamined: "CHEST" };
    const [match] = await session.matches("/series", query);
    expectEqual(textOf(match, "BodyPartExamined"), "CHEST", "Body Part Examined");
  },
  limit: async (session) => {
    const answer = await studiesOfAda(session, { limit: "1" });
    expectEqual(dataSetsOf(expectStatus(answer, 200)).length, 1, "The number of matches");
  },
  "limit-zero": async (session) => {
    const answer = await studiesOfAda(session, { limit: "0" });
    expect(answer.status < 500, `The answer is ${answer.status}.`);
    expect(answer.status !== 200 || dataSetsOf(answer).length === 0, "Matches are answered.");
  },
  offset: async (session) => {
    const uid = async (offset: string) => {
      const [match] = dataSetsOf(expectStatus(await studiesOfAda(session, { limit: "1", offset }), 200));
      return textOf(match, "StudyInstanceUID");
    };
    const [first, second] = [await uid("0"), await uid("1")];
    expect(first !== undefined && second !== undefined, "A page is empty.");
    expect(first !== second, "Both pages hold the same study.");
  },
  "offset-at-end": async (session) => {
    const answer = expectStatus(await studiesOfAda(session, { offset: "2" }), 200, 204);
    expectEqual(dataSetsOf(answer).length, 0, "The number of matches");
  },
  "newest-first": async (session) => {
    const dates = dataSetsOf(await studiesOfAda(session, {})).map((match) => textOf(match, "StudyDate") ?? "");
    expect(
      dates.length === 2 && dates.join() === dates.toSorted().toReversed().join(),
      `The dates are ${dates.join()}.`,
    );
  },
  "warning-fuzzy-or-done": async (session) => {
    const answer = await studiesOfAda(session, {
      PatientName: `Conf${session.run.letters}^Ada^Mary`,
      fuzzymatching: "true",
    });
    expectStatus(answer, 200);
    const isDone = dataSetsOf(answer).length === 2;
    expect(isDone || warns(answer, /fuzzymatching/i), "Neither is fuzzy matching done nor told to be missing.");
  },
  "warning-empty-value-or-done": async (session) => {
    const answer = await studiesOfAda(session, { AccessionNumber: '""', emptyvaluematching: "true" });
    expectStatus(answer, 200, 204);
    const isDone = dataSetsOf(answer).length === 0 && header(answer, "warning") === "";
    expect(isDone || warns(answer, /emptyvaluematching/i), "Neither is it done nor told to be missing.");
  },
  "warning-multiple-value-or-done": async (session) => {
    const query = { ModalitiesInStudy: "CT\\MR", multiplevaluematching: "true" };
    const answer = expectStatus(await studiesOfAda(session, query), 200, 204);
    const isDone = dataSetsOf(answer).length === 1;
    expect(isDone || warns(answer, /multiplevaluematching/i), "Neither is it done nor told to be missing.");
  },
  "count-after-store": async (session) => {
    const [first, second] = ["1", "2"].map((name) =>
      session.run.instance("count", "s", name, session.run.scratchAttributes("count"), "1.2.840.10008.1.2.1"),
    );
    if (!first || !second) throw new TypeError("two were written");
    for (const [instance, count] of [
      [first, "1"],
      [second, "2"],
    ] as const) {
      await session.stored(instance);
      const [match] = await session.matches("/studies", { StudyInstanceUID: first.studyInstanceUid });
      expectEqual(textOf(match, "NumberOfStudyRelatedInstances"), count, "Number of Study Related Instances");
    }
  },
};
