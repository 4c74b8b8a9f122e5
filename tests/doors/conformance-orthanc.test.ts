/** The conformance suite against a server that is not ours: it is no mirror of Noctis, and finds faults that are there. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { closeConnections } from "../../conformance/http.ts";
import { readMatrix } from "../../conformance/matrix.ts";
import { Session } from "../../conformance/session.ts";
import { runLines } from "../../conformance/suite.ts";
import { type Orthanc, startOrthanc } from "../support/orthanc.ts";
import { pathOf, requirement } from "../support/require.ts";

/** What any DICOMweb server does. */
const basics = [
  "store-multipart",
  "store-bit-exact",
  "match-study-PatientID",
  "match-series-Modality",
  "uid-list-comma",
  "search-study-series",
  "limit",
  "retrieve-study",
  "retrieve-series",
  "metadata-study",
  "frame-native-of-several",
  "json-pn-groups",
  "client-search-studies",
  "client-retrieve-instance",
];

/** Faults of Orthanc 1.10 with its plugin 1.7: one broken part fails the whole request, what is no date is taken for one. */
const faults = ["store-partial-202", "bad-date", "retrieve-not-acceptable", "sequence-dotted-keywords"];

describe("the conformance suite against Orthanc", requirement("orthanc", "orthancDicomWeb"), () => {
  let orthanc: Orthanc;
  let origin: string;

  before(async () => {
    orthanc = await startOrthanc({
      DicomServerEnabled: false,
      Plugins: [pathOf("orthancDicomWeb")],
      DicomWeb: { Enable: true, Root: "/dicom-web/", EnableWado: true, WadoRoot: "/wado" },
    });
    origin = orthanc.url;
  });
  after(async () => {
    closeConnections();
    await orthanc.stop();
  });

  it("passes what any server does, and finds its faults", async () => {
    const target = { url: `${origin}/dicom-web`, wadoUrl: `${origin}/wado`, apiUrl: `${origin}/api`, headers: {} };
    const session = new Session(target, "orthanc");
    await session.prepare();
    const wanted = (await readMatrix()).filter(({ id }) => [...basics, ...faults].includes(id));
    const outcomes = await runLines(session, wanted);
    const failed = outcomes.filter(({ result }) => result === "fail").map(({ line }) => line.id);
    assert.deepEqual(
      failed.toSorted(),
      faults.toSorted(),
      outcomes.map(({ line, why }) => `${line.id}: ${why}`).join("\n"),
    );
  });
});
