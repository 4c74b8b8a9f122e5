/** Store transaction (PS3.18 10.5): DICOM files by multipart and single part, responses, statuses. */
import type { Checks } from "../check.ts";
import { dataSetOf, itemsOf, textOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectStatus, expectType, soleBody } from "../expect.ts";
import { header } from "../http.ts";
import type { Instance } from "../instances.ts";
import { boundary, relatedType, writeMultipart } from "../media.ts";
import { media, pathsOf, type Session } from "../session.ts";
import { transferSyntax } from "../write-dicom.ts";

const dicom = "application/dicom";
const brokenFile = Buffer.from("This is not a DICOM file, whatever its media type says.");

/** Stores a scratch instance, and gives it with the answer. */
async function storeOne(session: Session, name: string, accept: string = media.json) {
  const instance = session.run.scratch(name);
  return { instance, answer: await session.store([instance], accept) };
}

/** The response to one good and one broken file. */
async function storeMixed(session: Session, name: string) {
  const instance = session.run.scratch(name);
  const parts = [instance.file, brokenFile].map((body) => ({ type: dicom, body }));
  const answer = await session.storeBody("/studies", relatedType(dicom), writeMultipart(parts), [instance]);
  return { instance, answer };
}

/** Retrieves the file of an instance. */
async function retrieved(session: Session, path: string): Promise<Buffer> {
  return soleBody(expectStatus(await session.get(path, media.dicom), 200));
}

/** What was stored is there, byte by byte. */
async function expectStored(session: Session, instance: Instance): Promise<void> {
  expectBytes(await retrieved(session, pathsOf(instance).instance), instance.file, "What was stored");
}

export const storeChecks: Checks = {
  "store-multipart": async (session) => {
    const { instance, answer } = await storeOne(session, "store multipart");
    expectStatus(answer, 200);
    const [match] = await session.matches("/studies", { StudyInstanceUID: instance.studyInstanceUid });
    expectEqual(textOf(match, "StudyInstanceUID"), instance.studyInstanceUid, "Study Instance UID of the search");
  },
  "store-several": async (session) => {
    const instances = ["1", "2", "3"].map((name) =>
      session.run.instance(
        "several",
        "s",
        name,
        session.run.scratchAttributes("several"),
        transferSyntax.explicitLittle,
      ),
    );
    const response = dataSetOf(expectStatus(await session.store(instances), 200));
    const referenced = itemsOf(response, "ReferencedSOPSequence").map((item) =>
      textOf(item, "ReferencedSOPInstanceUID"),
    );
    const stored = instances.map(({ sopInstanceUid }) => sopInstanceUid);
    expectEqual(new Set(referenced).size, stored.length, "The number of instances referenced");
    expect(
      stored.every((uid) => referenced.includes(uid)),
      "An instance is not referenced.",
    );
  },
  "store-into-study": async (session) => {
    const instance = session.run.scratch("store into study");
    expectStatus(await session.store([instance], media.json, pathsOf(instance).study), 200);
  },
  "store-into-other-study": async (session) => {
    const instance = session.run.scratch("store into other study");
    const path = `/studies/${session.run.uid("another study")}`;
    const answer = expectStatus(await session.store([instance], media.json, path), 409);
    const found = await session.matches("/studies", { StudyInstanceUID: instance.studyInstanceUid });
    expectEqual(found.length, 0, "The number of studies stored");
    expect(answer.body.length > 0, "The response has no body.");
  },
  "store-type-unquoted": async (session) => {
    const instance = session.run.scratch("type unquoted");
    const type = `multipart/related; type=application/dicom; boundary=${boundary}`;
    const body = writeMultipart([{ type: dicom, body: instance.file }]);
    expectStatus(await session.storeBody("/studies", type, body, [instance]), 200);
    await expectStored(session, instance);
  },
  "store-boundary-quoted": async (session) => {
    const instance = session.run.scratch("boundary quoted");
    const type = `multipart/related; boundary="${boundary}"; type="application/dicom"`;
    const body = writeMultipart([{ type: dicom, body: instance.file }]);
    expectStatus(await session.storeBody("/studies", type, body, [instance]), 200);
    await expectStored(session, instance);
  },
  "store-part-transfer-syntax": async (session) => {
    const instance = session.run.scratch("part transfer syntax");
    const type = `${dicom}; transfer-syntax=${instance.transferSyntaxUid}`;
    const body = writeMultipart([{ type, body: instance.file }]);
    expectStatus(await session.storeBody("/studies", relatedType(dicom), body, [instance]), 200);
    await expectStored(session, instance);
  },
  "store-single-part": async (session) => {
    const instance = session.run.scratch("single part");
    expectStatus(await session.storeBody("/studies", dicom, instance.file, [instance]), 200);
    await expectStored(session, instance);
  },
  "store-preamble-of-multipart": async (session) => {
    const instance = session.run.scratch("multipart preamble");
    const body = Buffer.concat([
      Buffer.from("This text is to be passed over.\r\n"),
      writeMultipart([{ type: dicom, body: instance.file }]),
      Buffer.from("\r\nAnd this."),
    ]);
    expectStatus(await session.storeBody("/studies", relatedType(dicom), body, [instance]), 200);
    await expectStored(session, instance);
  },
  "store-response-json": async (session) => {
    const { answer } = await storeOne(session, "response json");
    expectType(expectStatus(answer, 200), "application/dicom+json");
    const referenced = itemsOf(dataSetOf(answer), "ReferencedSOPSequence");
    expectEqual(referenced.length, 1, "The number of instances referenced");
  },
  "store-response-xml": async (session) => {
    const { answer } = await storeOne(session, "response xml", "application/dicom+xml");
    expectType(expectStatus(answer, 200), "application/dicom+xml");
    expect(answer.body.includes("NativeDicomModel"), "The body is not a Native DICOM Model.");
    expect(answer.body.includes('keyword="ReferencedSOPSequence"'), "It holds no ReferencedSOPSequence.");
  },
  "store-response-not-acceptable": async (session) => {
    const { answer } = await storeOne(session, "response png", "image/png");
    expectStatus(answer, 406);
  },
  "store-response-without-accept": async (session) => {
    const instance = session.run.scratch("without accept");
    const body = writeMultipart([{ type: dicom, body: instance.file }]);
    const answer = await session.storeBody("/studies", relatedType(dicom), body, [instance], "*/*");
    expectStatus(answer, 200);
    const type = header(answer, "content-type");
    expect(/^application\/dicom\+(json|xml)/.test(type), `The response is ${type}.`);
    await expectStored(session, instance);
  },
  "store-referenced-sop": async (session) => {
    const { instance, answer } = await storeOne(session, "referenced");
    const [item, ...more] = itemsOf(dataSetOf(answer), "ReferencedSOPSequence");
    expectEqual(more.length, 0, "The number of further items");
    expectEqual(textOf(item, "ReferencedSOPClassUID"), instance.sopClassUid, "Referenced SOP Class UID");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), instance.sopInstanceUid, "Referenced SOP Instance UID");
  },
  "store-instance-retrieve-url": async (session) => {
    const { instance, answer } = await storeOne(session, "instance url");
    const [item] = itemsOf(dataSetOf(answer), "ReferencedSOPSequence");
    const url = textOf(item, "RetrieveURL") ?? "";
    expect(url !== "", "The item has no Retrieve URL.");
    const file = soleBody(expectStatus(await session.requestUrl(url, { headers: { Accept: media.dicom } }), 200));
    expectBytes(file, instance.file, "What the Retrieve URL gives");
  },
  "store-study-retrieve-url": async (session) => {
    const { answer } = await storeOne(session, "study url");
    const url = textOf(dataSetOf(answer), "RetrieveURL") ?? "";
    expect(url !== "", "The response has no Retrieve URL.");
    expectStatus(await session.requestUrl(url, { headers: { Accept: media.dicom } }), 200);
  },
  "store-no-failed-sequence": async (session) => {
    const { answer } = await storeOne(session, "no failed");
    const response = dataSetOf(expectStatus(answer, 200));
    expect("00081199" in response, "Referenced SOP Sequence is not there.");
    expect(!("00081198" in response), "Failed SOP Sequence is there though nothing failed.");
    expect(!("0008119A" in response), "Other Failures Sequence is there though nothing failed.");
  },
  "store-bit-exact": async (session) => {
    const { instance } = await storeOne(session, "bit exact");
    expectBytes(await retrieved(session, pathsOf(instance).instance), instance.file, "The retrieved file");
  },
  "store-partial-202": async (session) => {
    const { instance, answer } = await storeMixed(session, "partial");
    expectStatus(answer, 202);
    const [item] = itemsOf(dataSetOf(answer), "ReferencedSOPSequence");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), instance.sopInstanceUid, "The referenced instance");
  },
  "store-partial-names-failure": async (session) => {
    const response = dataSetOf((await storeMixed(session, "partial named")).answer);
    const failures = [...itemsOf(response, "FailedSOPSequence"), ...itemsOf(response, "OtherFailuresSequence")];
    expectEqual(failures.length, 1, "The number of failures told");
    expect(textOf(failures[0], "FailureReason") !== undefined, "The failure has no Failure Reason.");
  },
  "store-partial-stores-rest": async (session) => {
    const { instance } = await storeMixed(session, "partial rest");
    expectBytes(await retrieved(session, pathsOf(instance).instance), instance.file, "The good instance");
  },
  "store-none": async (session) => {
    const body = writeMultipart([{ type: dicom, body: brokenFile }]);
    expectStatus(await session.storeBody("/studies", relatedType(dicom), body, []), 409, 400);
  },
  "store-missing-uid": async (session) => {
    const broken = session.run.scratch("missing uid", { SOPInstanceUID: "" });
    expectStatus(await session.store([broken]), 409);
  },
  "store-identical-again": async (session) => {
    const { instance } = await storeOne(session, "again");
    const answer = expectStatus(await session.store([instance]), 200);
    const [item] = itemsOf(dataSetOf(answer), "ReferencedSOPSequence");
    expectEqual(textOf(item, "ReferencedSOPInstanceUID"), instance.sopInstanceUid, "The referenced instance");
    const [study] = await session.matches("/studies", { StudyInstanceUID: instance.studyInstanceUid });
    expectEqual(textOf(study, "NumberOfStudyRelatedInstances"), "1", "The number of instances afterwards");
  },
  "store-different-again": async (session) => {
    const { instance } = await storeOne(session, "different");
    const other = session.run.scratch("different", { PatientComments: "Changed" });
    const answer = expectStatus(await session.store([other]), 200, 202, 409);
    const told = itemsOf(dataSetOf(answer), "FailedSOPSequence").length > 0 || answer.body.includes("00081196");
    expect(told, "Neither a Failure Reason nor a Warning Reason says that the instance differs.");
    const kept = await retrieved(session, pathsOf(instance).instance);
    expect(kept.equals(instance.file) || kept.equals(other.file), "What is stored is neither of the two.");
  },
  "store-unsupported-media-type": async (session) => {
    expectStatus(await session.storeBody("/studies", "text/plain", "Hello", []), 415);
  },
  "store-unsupported-root-type": async (session) => {
    const body = writeMultipart([{ type: "text/plain", body: "Hello" }]);
    expectStatus(await session.storeBody("/studies", relatedType("text/plain"), body, []), 415);
  },
  "store-without-content-type": async (session) => {
    const { file } = session.run.scratch("without content type");
    const answer = await session.request("/studies", { method: "POST", headers: { Accept: media.json }, body: file });
    expectStatus(answer, 400, 415);
  },
  "store-without-boundary": async (session) => {
    const body = writeMultipart([{ type: dicom, body: brokenFile }]);
    expectStatus(
      await session.storeBody("/studies", 'multipart/related; type="application/dicom"', body, []),
      400,
      415,
    );
  },
  "store-empty-body": async (session) => {
    expectStatus(await session.storeBody("/studies", relatedType(dicom), "", []), 400);
  },
  "store-no-parts": async (session) => {
    expectStatus(await session.storeBody("/studies", relatedType(dicom), `--${boundary}--\r\n`, []), 400);
  },
  "store-unterminated-multipart": async (session) => {
    const instance = session.run.scratch("unterminated");
    const whole = writeMultipart([{ type: dicom, body: instance.file }]);
    const answer = await session.storeBody("/studies", relatedType(dicom), whole.subarray(0, -60), [instance]);
    expectStatus(answer, 400, 409);
  },
  "store-truncated-file": async (session) => {
    const instance = session.run.scratch("truncated");
    const body = writeMultipart([{ type: dicom, body: instance.file.subarray(0, -9) }]);
    expectStatus(await session.storeBody("/studies", relatedType(dicom), body, [instance]), 409, 400);
  },
  "store-explicit-big-endian": async (session) => {
    const { bigEndian } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(bigEndian)).instance), bigEndian.file, "The file");
  },
  "store-deflated": async (session) => {
    const { deflated } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(deflated)).instance), deflated.file, "The file");
  },
  "store-implicit-little-endian": async (session) => {
    const { cine } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(cine)).instance), cine.file, "The file");
  },
  "store-compressed": async (session) => {
    const { photo } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(photo)).instance), photo.file, "The file");
  },
  "store-rle": async (session) => {
    const { lossless } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(lossless)).instance), lossless.file, "The file");
  },
  "store-encapsulated-document": async (session) => {
    const { document } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(document)).instance), document.file, "The file");
  },
  "store-private-attributes": async (session) => {
    const { forms } = session.fixtures;
    expectBytes(await retrieved(session, pathsOf(session.need(forms)).instance), forms.file, "The file");
  },
  "store-findable-at-once": async (session) => {
    const { instance } = await storeOne(session, "findable");
    const { instance: path } = pathsOf(instance);
    expectStatus(await session.get(`${path}/metadata`), 200);
  },
};
