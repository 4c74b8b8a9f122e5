/** Storage commitment (PS3.18 13) and non-patient instances (PS3.18 12). */
import type { Checks } from "../check.ts";
import { dataSetOf, dataSetsOf, itemsOf, type JsonDataSet, textOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectStatus, soleBody } from "../expect.ts";
import type { Answer } from "../http.ts";
import { type Instance, sopClass } from "../instances.ts";
import { relatedType, writeMultipart } from "../media.ts";
import { toJson } from "../metadata-forms.ts";
import { media, pathsOf, type Session } from "../session.ts";
import { type DataSet, transferSyntax, writeFile } from "../write-dicom.ts";

type Reference = readonly [sopClassUid: string, sopInstanceUid: string];

function requestOf(references: readonly Reference[]): string {
  const items = references.map(([ReferencedSOPClassUID, ReferencedSOPInstanceUID]) => ({
    ReferencedSOPClassUID,
    ReferencedSOPInstanceUID,
  }));
  return JSON.stringify([toJson({ ReferencedSOPSequence: items })]);
}

/** Asks for commitment, and waits for the result when it is not given at once. */
async function commitment(session: Session, name: string, references: readonly Reference[]): Promise<JsonDataSet> {
  const path = `/commitment-requests/${session.run.uid(`transaction ${name}`)}`;
  const headers = { "Content-Type": "application/dicom+json", Accept: media.json };
  let answer = expectStatus(
    await session.request(path, { method: "POST", headers, body: requestOf(references) }),
    200,
    202,
  );
  for (let left = 20; answer.status === 202 && left > 0; left -= 1) {
    await new Promise((resolve) => setTimeout(resolve, 250));
    answer = expectStatus(await session.get(path), 200, 202);
  }
  expectStatus(answer, 200);
  return resultOf(answer);
}

function resultOf(answer: Answer): JsonDataSet {
  const isArray = answer.body.toString("utf8").trimStart().startsWith("[");
  return (isArray ? dataSetsOf(answer)[0] : dataSetOf(answer)) ?? {};
}

function referenceOf({ sopClassUid, sopInstanceUid }: Instance): Reference {
  return [sopClassUid, sopInstanceUid];
}

/** A color palette (PS3.3 A.58), the smallest of the non-patient objects. */
function palette(session: Session, name: string): { uid: string; file: Buffer } {
  const uid = session.run.uid(`palette ${name}`);
  const table = Buffer.from(Array.from({ length: 512 }, (_, index) => (index % 2 === 0 ? 0 : index >> 1)));
  const dataSet: DataSet = {
    SOPClassUID: sopClass.colorPalette,
    SOPInstanceUID: uid,
    ContentLabel: `CF${session.run.token}`,
    "00700081:LO": `Palette of ${session.run.token}`,
    "00700084:PN": "Conformance^Suite",
    "00281199:UI": session.run.uid(`table ${name}`),
    "00281101:US": [256, 0, 8],
    "00281102:US": [256, 0, 8],
    "00281103:US": [256, 0, 8],
    "00281201:OW": table,
    "00281202:OW": table,
    "00281203:OW": table,
    "00282000:OB": Buffer.alloc(4),
  };
  return { uid, file: writeFile(dataSet, transferSyntax.explicitLittle) };
}

async function storePalette(session: Session, name: string): Promise<{ uid: string; file: Buffer }> {
  const written = palette(session, name);
  const body = writeMultipart([{ type: "application/dicom", body: written.file }]);
  const answer = await session.storeBody("/color-palettes", relatedType("application/dicom"), body, []);
  session.removeLater(`/color-palettes/${written.uid}`);
  expectStatus(answer, 200);
  return written;
}

export const serviceChecks: Checks = {
  "commitment-stored": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const result = await commitment(session, "stored", [referenceOf(mr)]);
    const [item] = itemsOf(result, "ReferencedSOPSequence");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), mr.sopInstanceUid, "The instance that is committed");
    expectEqual(itemsOf(result, "FailedSOPSequence").length, 0, "The number of failures");
  },
  "commitment-unknown-instance": async (session) => {
    const uid = session.run.uid("never stored");
    const result = await commitment(session, "unknown", [[sopClass.mr, uid]]);
    const [item] = itemsOf(result, "FailedSOPSequence");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), uid, "The instance that failed");
    expectEqual(textOf(item, "FailureReason"), String(0x0112), "Failure Reason, No such object instance");
  },
  "commitment-some": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const never: Reference = [sopClass.mr, session.run.uid("never stored")];
    const result = await commitment(session, "some", [referenceOf(mr), never]);
    expectEqual(itemsOf(result, "ReferencedSOPSequence").length, 1, "The number of instances committed");
    expectEqual(itemsOf(result, "FailedSOPSequence").length, 1, "The number of instances that failed");
  },
  "commitment-class-conflict": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const result = await commitment(session, "class", [[sopClass.ct, mr.sopInstanceUid]]);
    const [item] = itemsOf(result, "FailedSOPSequence");
    expectEqual(textOf(item, "FailureReason"), String(0x0119), "Failure Reason, Class / Instance conflict");
  },
  "commitment-result": async (session) => {
    const mr = session.need(session.fixtures.mr);
    await commitment(session, "result", [referenceOf(mr)]);
    const path = `/commitment-requests/${session.run.uid("transaction result")}`;
    const [item] = itemsOf(resultOf(expectStatus(await session.get(path), 200)), "ReferencedSOPSequence");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), mr.sopInstanceUid, "The instance that is committed");
  },
  "commitment-transaction-in-use": async (session) => {
    const mr = session.need(session.fixtures.mr);
    await commitment(session, "twice", [referenceOf(mr)]);
    const path = `/commitment-requests/${session.run.uid("transaction twice")}`;
    const body = requestOf([[sopClass.mr, session.run.uid("another")]]);
    const headers = { "Content-Type": "application/dicom+json", Accept: media.json };
    expectStatus(await session.request(path, { method: "POST", headers, body }), 409);
  },
  "commitment-unknown-transaction": async (session) => {
    const mr = session.need(session.fixtures.mr);
    await commitment(session, "known", [referenceOf(mr)]);
    expectStatus(await session.get(`/commitment-requests/${session.run.uid("no transaction")}`), 404);
  },
  "commitment-malformed": async (session) => {
    const path = `/commitment-requests/${session.run.uid("transaction malformed")}`;
    const headers = { "Content-Type": "application/dicom+json", Accept: media.json };
    expectStatus(await session.request(path, { method: "POST", headers, body: "{}" }), 400);
  },
  "npi-store": async (session) => void (await storePalette(session, "store")),
  "npi-retrieve": async (session) => {
    const { uid, file } = await storePalette(session, "retrieve");
    const answer = expectStatus(await session.get(`/color-palettes/${uid}`, media.dicom), 200);
    expectBytes(soleBody(answer), file, "The file");
  },
  "npi-json": async (session) => {
    const { uid } = await storePalette(session, "json");
    const [dataSet] = dataSetsOf(expectStatus(await session.get(`/color-palettes/${uid}`), 200));
    expectEqual(textOf(dataSet, "SOPInstanceUID"), uid, "SOP Instance UID");
  },
  "npi-search": async (session) => {
    const { uid } = await storePalette(session, "search");
    const found = await session.matches("/color-palettes", { SOPInstanceUID: uid });
    expectEqual(
      found.map((match) => textOf(match, "SOPInstanceUID")),
      [uid],
      "What is found",
    );
  },
  "npi-search-by-label": async (session) => {
    const { uid } = await storePalette(session, "label");
    const found = await session.matches("/color-palettes", { ContentLabel: `CF${session.run.token}` });
    expect(
      found.some((match) => textOf(match, "SOPInstanceUID") === uid),
      "The palette is not found by its label.",
    );
  },
  "npi-not-among-patients": async (session) => {
    const { uid } = await storePalette(session, "patients");
    expectEqual((await session.matches("/instances", { SOPInstanceUID: uid })).length, 0, "The number of instances");
  },
  "npi-unknown": async (session) => {
    await storePalette(session, "known");
    expectStatus(await session.get(`/color-palettes/${session.run.uid("no palette")}`, media.dicom), 404);
  },
  "npi-wrong-class": async (session) => {
    const { file } = palette(session, "wrong class");
    const body = writeMultipart([{ type: "application/dicom", body: file }]);
    await storePalette(session, "right class");
    expectStatus(await session.storeBody("/hanging-protocols", relatedType("application/dicom"), body, []), 409);
  },
  "npi-unknown-category": async (session) => {
    await storePalette(session, "category");
    expectStatus(await session.get("/no-such-category"), 404);
  },
  "npi-categories": async (session) => {
    for (const name of ["color-palettes", "defined-procedure-protocols", "hanging-protocols", "implant-templates"]) {
      expectStatus(await session.get(`/${name}`), 200, 204);
    }
  },
  "commitment-after-delete": async (session) => {
    const instance = await session.stored(session.run.scratch("commitment after delete"));
    expectStatus(await session.request(pathsOf(instance).study, { method: "DELETE" }), 200, 204);
    const result = await commitment(session, "deleted", [referenceOf(instance)]);
    expectEqual(itemsOf(result, "FailedSOPSequence").length, 1, "The number of failures");
  },
};
