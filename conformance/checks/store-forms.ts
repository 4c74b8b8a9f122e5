/** Store transaction (PS3.18 10.5.1, 8.7.3.2): metadata in JSON and XML with bulk data, and encapsulated media. */
import { gzipSync } from "node:zlib";
import type { Checks } from "../check.ts";
import { dataSetsOf, textOf } from "../dicom-json.ts";
import { expect, expectBytes, expectClientError, expectEqual, expectStatus, soleBody } from "../expect.ts";
import { jpegFrames, pdf } from "../fixtures.ts";
import { type Instance, sopClass } from "../instances.ts";
import { type NewPart, relatedType, writeMultipart } from "../media.ts";
import { toJson, toXml } from "../metadata-forms.ts";
import { media, pathsOf, type Session } from "../session.ts";
import type { DataSet } from "../write-dicom.ts";

const json = "application/dicom+json";
const xml = "application/dicom+xml";
const octets = "application/octet-stream";

/** Stores metadata of `type` and further parts. */
function storeForms(session: Session, type: string, root: string, parts: readonly NewPart[], stored: Instance) {
  const body = writeMultipart([{ type, body: root }, ...parts]);
  return session.storeBody("/studies", relatedType(type), body, [stored]);
}

/** The data set of an instance without its pixel data. */
function withoutPixels({ dataSet }: Instance): DataSet {
  return Object.fromEntries(Object.entries(dataSet).filter(([name]) => name !== "PixelData"));
}

function pixelsOf({ dataSet }: Instance): Buffer {
  const pixels = dataSet["PixelData"];
  return Buffer.isBuffer(pixels) ? pixels : Buffer.alloc(0);
}

async function expectFrame(session: Session, instance: Instance): Promise<void> {
  const answer = await session.get(`${pathsOf(instance).instance}/frames/1`, media.octets);
  expectBytes(soleBody(expectStatus(answer, 200)), pixelsOf(instance), "The frame");
}

async function metadataOf(session: Session, instance: Instance) {
  const answer = expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 200);
  return dataSetsOf(answer)[0];
}

/** What describes the pixels; the server finds it in the image. */
const pixelModule = new Set([
  "SamplesPerPixel",
  "PhotometricInterpretation",
  "Rows",
  "Columns",
  "BitsAllocated",
  "BitsStored",
  "HighBit",
  "PixelRepresentation",
  "PixelData",
]);

function photograph(session: Session, name: string): Instance {
  return session.run.scratch(name, { SOPClassUID: sopClass.photography, Modality: "XC" });
}

export const storeFormChecks: Checks = {
  "store-json-bulk": async (session) => {
    const instance = session.run.scratch("json bulk");
    const root = JSON.stringify([toJson(instance.dataSet, { PixelData: "bulk/1" })]);
    const parts = [{ type: octets, location: "bulk/1", body: pixelsOf(instance) }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    await expectFrame(session, instance);
  },
  "store-json-bulk-absolute-uri": async (session) => {
    const instance = session.run.scratch("json absolute");
    const uri = "http://example.org/bulk/1";
    const root = JSON.stringify([toJson(instance.dataSet, { PixelData: uri })]);
    const parts = [{ type: octets, location: uri, body: pixelsOf(instance) }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    await expectFrame(session, instance);
  },
  "store-json-inline": async (session) => {
    const instance = session.run.scratch("json inline");
    const root = JSON.stringify([toJson(instance.dataSet)]);
    expectStatus(await storeForms(session, json, root, [], instance), 200);
    await expectFrame(session, instance);
  },
  "store-json-two-instances": async (session) => {
    const both = ["1", "2"].map((name) => {
      const dataSet = { ...session.run.scratchAttributes("two"), ...withoutPixels(session.run.scratch("two")) };
      const { StudyInstanceUID: _study, SeriesInstanceUID: _series, SOPInstanceUID: _sop, ...rest } = dataSet;
      return session.run.instance(
        "two",
        "s",
        name,
        { ...rest, PixelData: Buffer.alloc(16, name) },
        "1.2.840.10008.1.2.1",
      );
    });
    const [first, second] = both;
    if (!first || !second) throw new TypeError("two were written");
    const root = JSON.stringify(both.map(({ dataSet }, index) => toJson(dataSet, { PixelData: `bulk/${index}` })));
    const parts = both.map((instance, index) => ({
      type: octets,
      location: `bulk/${index}`,
      body: pixelsOf(instance),
    }));
    expectStatus(await storeForms(session, json, root, parts, first), 200);
    await expectFrame(session, first);
    await expectFrame(session, second);
  },
  "store-json-values": async (session) => {
    const instance = session.run.scratch("json values", {
      SpecificCharacterSet: "ISO_IR 192",
      PatientName: `Json${session.run.letters}^Ä=形=かた`,
      PatientWeight: "71.5",
      ImageType: ["DERIVED", "SECONDARY"],
      RequestAttributesSequence: [{ ScheduledProcedureStepID: "S1" }],
    });
    const root = JSON.stringify([toJson(instance.dataSet)]);
    expectStatus(await storeForms(session, json, root, [], instance), 200);
    const stored = await metadataOf(session, instance);
    for (const name of ["00100010", "00101030", "00080008", "00400275", "00100020"]) {
      const sent = toJson(instance.dataSet)[name];
      expectEqual(withNumbers(stored?.[name]), withNumbers(sent), name);
    }
  },
  "store-json-single-part": async (session) => {
    const instance = session.run.scratch("json single");
    const body = JSON.stringify([toJson(instance.dataSet)]);
    expectStatus(await session.storeBody("/studies", json, body, [instance]), 200);
    await expectFrame(session, instance);
  },
  "store-json-bulk-missing": async (session) => {
    const instance = session.run.scratch("json missing");
    const root = JSON.stringify([toJson(instance.dataSet, { PixelData: "bulk/none" })]);
    expectStatus(await storeForms(session, json, root, [], instance), 409, 400);
    expectStatus(await session.get(`${pathsOf(instance).instance}/metadata`), 404);
  },
  "store-json-malformed": async (session) => {
    const instance = session.run.scratch("json malformed");
    expectStatus(await storeForms(session, json, '[{"00080018":', [], instance), 400, 409);
  },
  "store-json-bad-value": async (session) => {
    const instance = session.run.scratch("json bad value");
    const root = JSON.stringify([{ ...toJson(instance.dataSet), "00280010": { vr: "US", Value: ["many"] } }]);
    expectStatus(await storeForms(session, json, root, [], instance), 400, 409);
  },
  "store-json-file-is-dicom": async (session) => {
    const instance = session.run.scratch("json file");
    const root = JSON.stringify([toJson(instance.dataSet)]);
    expectStatus(await storeForms(session, json, root, [], instance), 200);
    const file = soleBody(expectStatus(await session.get(pathsOf(instance).instance, media.dicom), 200));
    expectEqual(file.toString("latin1", 128, 132), "DICM", "The prefix of the file");
  },
  "store-xml-bulk": async (session) => {
    const instance = session.run.scratch("xml bulk");
    const root = toXml(instance.dataSet, { PixelData: "bulk/1" });
    const parts = [{ type: octets, location: "bulk/1", body: pixelsOf(instance) }];
    expectStatus(await storeForms(session, xml, root, parts, instance), 200);
    await expectFrame(session, instance);
  },
  "store-xml-values": async (session) => {
    const instance = session.run.scratch("xml values", {
      StudyDescription: "A <B> & C",
      SpecificCharacterSet: "ISO_IR 192",
    });
    expectStatus(await storeForms(session, xml, toXml(instance.dataSet), [], instance), 200);
    const stored = await metadataOf(session, instance);
    expectEqual(textOf(stored, "StudyDescription"), "A <B> & C", "Study Description");
    expectEqual(textOf(stored, "PatientName"), instance.dataSet["PatientName"], "Patient's Name");
  },
  "store-xml-malformed": async (session) => {
    const instance = session.run.scratch("xml malformed");
    const root = toXml(instance.dataSet).replace("</NativeDicomModel>", "");
    expectStatus(await storeForms(session, xml, root, [], instance), 400, 409);
  },
  "store-xml-doctype": async (session) => {
    const instance = session.run.scratch("xml doctype");
    const root = toXml(instance.dataSet).replace("?>", '?><!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>');
    expectStatus(await storeForms(session, xml, root, [], instance), 400, 409);
  },
  "store-jpeg": async (session) => {
    const [image = Buffer.alloc(0)] = jpegFrames;
    const instance = photograph(session, "jpeg");
    const root = JSON.stringify([toJson(instance.dataSet, { PixelData: "bulk/1" })].map((one) => withSize(one)));
    const parts = [{ type: "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.50", location: "bulk/1", body: image }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    const accept = 'multipart/related; type="image/jpeg"; transfer-syntax=*';
    const answer = await session.get(`${pathsOf(instance).instance}/frames/1`, accept);
    expectBytes(soleBody(expectStatus(answer, 200)).subarray(0, image.length), image, "The frame");
  },
  "store-jpeg-fills-pixel-module": async (session) => {
    const [image = Buffer.alloc(0)] = jpegFrames;
    const instance = photograph(session, "jpeg module");
    const kept = Object.entries(instance.dataSet).filter(([name]) => !pixelModule.has(name));
    const dataSet: DataSet = { ...Object.fromEntries(kept), PixelData: image };
    const root = JSON.stringify([toJson(dataSet, { PixelData: "bulk/1" })]);
    const parts = [{ type: "image/jpeg", location: "bulk/1", body: image }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    const stored = await metadataOf(session, instance);
    const sizes = ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated"].map((name) => textOf(stored, name));
    expectEqual(sizes, ["16", "16", "3", "8"], "Rows, Columns, Samples per Pixel and Bits Allocated");
  },
  "store-pdf": async (session) => {
    const instance = session.run.scratch("pdf", { SOPClassUID: sopClass.encapsulatedPdf, Modality: "DOC" });
    const dataSet: DataSet = {
      ...Object.fromEntries(Object.entries(instance.dataSet).filter(([name]) => !pixelModule.has(name))),
      MIMETypeOfEncapsulatedDocument: "application/pdf",
      EncapsulatedDocument: pdf,
    };
    const root = JSON.stringify([toJson(dataSet, { EncapsulatedDocument: "bulk/1" })]);
    const parts = [{ type: "application/pdf", location: "bulk/1", body: pdf }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    const stored = await metadataOf(session, instance);
    expectEqual(textOf(stored, "SOPClassUID"), sopClass.encapsulatedPdf, "SOP Class UID");
    const file = soleBody(expectStatus(await session.get(pathsOf(instance).instance, media.dicom), 200));
    expect(file.includes(pdf), "The file does not hold the document.");
  },
  "store-stl": async (session) => {
    const model = Buffer.concat([Buffer.alloc(80, "solid"), Buffer.from([1, 0, 0, 0]), Buffer.alloc(50, 1)]);
    const instance = session.run.scratch("stl", { SOPClassUID: "1.2.840.10008.5.1.4.1.1.104.3", Modality: "M3D" });
    const dataSet: DataSet = {
      ...Object.fromEntries(Object.entries(instance.dataSet).filter(([name]) => !pixelModule.has(name))),
      "00200052:UI": session.run.uid("frame of reference"),
      "004008EA:SQ": [{ CodeValue: "mm", CodingSchemeDesignator: "UCUM", CodeMeaning: "mm" }],
      MIMETypeOfEncapsulatedDocument: "model/stl",
      EncapsulatedDocument: model,
    };
    const root = JSON.stringify([toJson(dataSet, { EncapsulatedDocument: "bulk/1" })]);
    const parts = [{ type: "model/stl", location: "bulk/1", body: model }];
    expectStatus(await storeForms(session, json, root, parts, instance), 200);
    const file = soleBody(expectStatus(await session.get(pathsOf(instance).instance, media.dicom), 200));
    expect(file.includes(model), "The file does not hold the model.");
  },
  "store-media-alone-into-study": async (session) => {
    const instance = await session.stored(session.run.scratch("media alone"));
    const { study } = pathsOf(instance);
    expectStatus(await session.storeBody(study, "application/pdf", pdf, []), 200, 202);
    const found = await session.matches(`${study}/instances`, { SOPClassUID: sopClass.encapsulatedPdf });
    expectEqual(found.length, 1, "The number of documents of the study");
    const [match] = await session.matches("/studies", { StudyInstanceUID: instance.studyInstanceUid });
    expectEqual(textOf(match, "PatientID"), session.run.patientId("X"), "Patient ID of the study");
  },
  "store-media-without-patient": async (session) => {
    await session.stored(session.run.scratch("media without patient"));
    expectClientError(await session.storeBody("/studies", "application/pdf", pdf, []));
  },
  "store-gzip": async (session) => {
    const instance = session.run.scratch("gzip");
    session.removeLater(pathsOf(instance).study);
    const headers = { "Content-Type": "application/dicom", "Content-Encoding": "gzip", Accept: media.json };
    const body = gzipSync(instance.file);
    expectStatus(await session.request("/studies", { method: "POST", headers, body }), 200);
    const file = soleBody(expectStatus(await session.get(pathsOf(instance).instance, media.dicom), 200));
    expectBytes(file, instance.file, "The file");
  },
};

/** A decimal string may come back as a number (PS3.18 F.2.3). */
function withNumbers(attribute: unknown): unknown {
  return JSON.parse((JSON.stringify(attribute) ?? "null").replaceAll('"71.5"', "71.5"));
}

function us(value: number): object {
  return { vr: "US", Value: [value] };
}

/** Rows and columns of the JPEG image, whose three samples the scratch attributes do not have. */
function withSize(metadata: Record<string, object>): Record<string, object> {
  return {
    ...metadata,
    "00280002": us(3),
    "00280004": { vr: "CS", Value: ["YBR_FULL_422"] },
    "00280006": us(0),
    "00280010": us(16),
    "00280011": us(16),
  };
}
