/** Clients and readers that we did not write: dicomweb-client, DCMTK, pydicom. */
import type { Checks } from "../check.ts";
import { expect, expectBytes, expectEqual, expectStatus, Skipped, soleBody } from "../expect.ts";
import { bulkValue } from "../fixtures.ts";
import { MinimalXmlHttpRequest, readBy, readByPydicom } from "../foreign.ts";
import type { Instance } from "../instances.ts";
import { toJson } from "../metadata-forms.ts";
import { media, pathsOf, type Session } from "../session.ts";

/** A client of the npm package dicomweb-client for the server under test. Throws Skipped when it is not installed. */
async function dicomwebClient(session: Session, singlepart = "") {
  Object.assign(globalThis, { XMLHttpRequest: MinimalXmlHttpRequest });
  try {
    const { api } = await import("dicomweb-client");
    const { url, headers } = session.target;
    return new api.DICOMwebClient({ url, headers, verbose: false, singlepart });
  } catch (error) {
    if (error instanceof Error && "code" in error) throw new Skipped("dicomweb-client is not installed.");
    throw error;
  }
}

/** Calls a method of the client, whose types demand options that it does not need. */
async function ask(client: object, method: string, options: object): Promise<unknown> {
  const member: unknown = Reflect.get(client, method);
  if (typeof member !== "function") throw new TypeError(`the client has no ${method}`);
  const answer: unknown = await Reflect.apply(member, client, [options]);
  return answer;
}

/** The same, for what gives a list. */
async function askList(client: object, method: string, options: object): Promise<readonly unknown[]> {
  const list = await ask(client, method, options);
  expect(Array.isArray(list), `The client's ${method} gave no list.`);
  return list;
}

function uidsOf(instance: Instance) {
  return {
    studyInstanceUID: instance.studyInstanceUid,
    seriesInstanceUID: instance.seriesInstanceUid,
    sopInstanceUID: instance.sopInstanceUid,
  };
}

/** The value of an attribute in what the client gives, which it does not type. */
function valueOf(dataSet: unknown, tag: string): unknown {
  const attributes = new Map(Object.entries(Object(dataSet)));
  const attribute = new Map(Object.entries(Object(attributes.get(tag))));
  const values = attribute.get("Value");
  return Array.isArray(values) ? values[0] : undefined;
}

function bufferOf(value: unknown): Buffer {
  expect(value instanceof ArrayBuffer, "The client gave no bytes.");
  return Buffer.from(value);
}

/** An instance as the server gives it, alone. */
async function fileOf(session: Session, instance: Instance): Promise<Buffer> {
  return soleBody(expectStatus(await session.get(pathsOf(session.need(instance)).instance, media.dicom), 200));
}

/** What stands in an attribute of a Native DICOM Model, blanks between tags left out. */
function xmlOf(text: string, tag: string): string | undefined {
  return new RegExp(`<DicomAttribute [^>]*tag="${tag}"[^>]*>([\\s\\S]*?)</DicomAttribute>`)
    .exec(text)?.[1]
    ?.replaceAll(/>\s+</g, "><")
    .trim();
}

function pixelsOf({ dataSet }: Instance): Buffer {
  const pixels = dataSet["PixelData"];
  return Buffer.isBuffer(pixels) ? pixels : Buffer.alloc(0);
}

/** UI, DA, SH, PN, IS and US: attributes whose values both readings must agree on. */
const comparedTags = [
  "00080018",
  "00080020",
  "00080050",
  "00100010",
  "0020000D",
  "00200011",
  "00280010",
  "00280100",
] as const;

export const clientChecks: Checks = {
  "client-search-studies": async (session) => {
    session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const found = await askList(client, "searchForStudies", { queryParams: { PatientID: session.run.patientId("A") } });
    expectEqual(found.length, 2, "The number of studies");
  },
  "client-search-series": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const found = await askList(client, "searchForSeries", { studyInstanceUID: mr.studyInstanceUid });
    expectEqual(found.length, 2, "The number of series");
  },
  "client-search-instances": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const found = await askList(client, "searchForInstances", uidsOf(mr));
    expectEqual(valueOf(found[0], "00080018"), mr.sopInstanceUid, "SOP Instance UID");
  },
  "client-metadata": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const study = await askList(client, "retrieveStudyMetadata", { studyInstanceUID: mr.studyInstanceUid });
    expectEqual(study.length, 4, "The number of instances of the study");
    const series = await askList(client, "retrieveSeriesMetadata", uidsOf(mr));
    expectEqual(valueOf(series[0], "00080018"), mr.sopInstanceUid, "SOP Instance UID");
    const instance = await ask(client, "retrieveInstanceMetadata", uidsOf(mr));
    expectEqual(valueOf(Array.isArray(instance) ? instance[0] : instance, "00080060"), "MR", "Modality");
  },
  "client-retrieve-instance": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const file = await ask(client, "retrieveInstance", uidsOf(mr));
    expectBytes(bufferOf(file), mr.file, "The file");
  },
  "client-retrieve-series": async (session) => {
    const [first] = session.fixtures.ct;
    const client = await dicomwebClient(session);
    const files = await askList(client, "retrieveSeries", uidsOf(session.need(first)));
    expectEqual(files.length, 3, "The number of files");
    const all = files.map((file) => bufferOf(file));
    expect(
      session.fixtures.ct.every(({ file }) => all.some((one) => one.equals(file))),
      "A file differs from what was stored.",
    );
  },
  "client-retrieve-frames": async (session) => {
    const cine = session.need(session.fixtures.cine);
    const client = await dicomwebClient(session);
    const frames = await askList(client, "retrieveInstanceFrames", { ...uidsOf(cine), frameNumbers: [1, 3] });
    expectEqual(frames.length, 2, "The number of frames");
    expectBytes(bufferOf(frames[1]), pixelsOf(cine).subarray(48, 72), "The third frame");
  },
  "client-retrieve-bulk-data": async (session) => {
    const client = await dicomwebClient(session);
    const BulkDataURI = await session.bulkDataUrl(session.fixtures.forms, "00091011:OW");
    const values = await askList(client, "retrieveBulkData", { BulkDataURI });
    expectBytes(bufferOf(values[0]), bulkValue, "The value");
  },
  "client-retrieve-bulk-data-single-part": async (session) => {
    const client = await dicomwebClient(session, "bulkdata");
    const BulkDataURI = await session.bulkDataUrl(session.fixtures.forms, "00091011:OW");
    const values = await askList(client, "retrieveBulkData", { BulkDataURI });
    expectBytes(bufferOf(values[0]), bulkValue, "The value");
  },
  "client-store": async (session) => {
    const instance = session.run.scratch("client store");
    session.removeLater(pathsOf(instance).study);
    const client = await dicomwebClient(session);
    const { buffer, byteOffset, byteLength } = new Uint8Array(instance.file);
    await ask(client, "storeInstances", { datasets: [buffer.slice(byteOffset, byteOffset + byteLength)] });
    expectBytes(await fileOf(session, instance), instance.file, "The file");
  },
  "client-not-found": async (session) => {
    session.need(session.fixtures.mr);
    const client = await dicomwebClient(session);
    const options = { studyInstanceUID: session.run.uid("never") };
    const failure = await ask(client, "retrieveStudyMetadata", options).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure instanceof Error && "status" in failure && failure.status === 404, "The client is told no 404.");
  },
  "dcmtk-reads-files": async (session) => {
    const { mr, photo, document, deflated, bigEndian, cine, lossless } = session.fixtures;
    for (const instance of [mr, photo, document, deflated, bigEndian, cine, lossless]) {
      const dump = await readBy("dcmdump", ["-q", "+P", "0008,0018"], await fileOf(session, instance));
      expect(dump.includes(instance.sopInstanceUid), `dcmdump does not read ${instance.transferSyntaxUid}.`);
    }
  },
  "dcmtk-json-agrees": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const theirs: unknown = JSON.parse(await readBy("dcm2json", [], await fileOf(session, mr)));
    const ours: unknown = JSON.parse((await session.get(`${pathsOf(mr).instance}/metadata`)).body.toString("utf8"));
    const [dataSet] = Array.isArray(ours) ? ours : [ours];
    for (const tag of comparedTags) {
      expectEqual(valueOf(dataSet, tag), valueOf(theirs, tag), tag);
    }
  },
  "dcmtk-reads-what-json-stored": async (session) => {
    const instance = session.run.scratch("dcmtk json");
    const body = JSON.stringify([toJson(instance.dataSet)]);
    expectStatus(await session.storeBody("/studies", "application/dicom+json", body, [instance]), 200);
    const dump = await readBy("dcmdump", ["-q"], await fileOf(session, instance));
    expect(dump.includes(instance.sopInstanceUid) && dump.includes("(7fe0,0010)"), "dcmdump does not read the file.");
  },
  "dcmtk-xml-agrees": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const theirs = await readBy("dcm2xml", ["--native-format"], await fileOf(session, mr));
    const answer = expectStatus(await session.get(`${pathsOf(mr).instance}/metadata`, media.xml), 200);
    const ours = soleBody(answer).toString("utf8");
    for (const tag of comparedTags) {
      expectEqual(xmlOf(ours, tag), xmlOf(theirs, tag), tag);
    }
  },
  "pydicom-reads-files": async (session) => {
    const { mr, photo, forms } = session.fixtures;
    for (const instance of [mr, photo, forms]) {
      const script = "print(pydicom.dcmread(sys.argv[1]).SOPInstanceUID)";
      const printed = await readByPydicom(script, await fileOf(session, instance));
      expectEqual(printed.trim(), instance.sopInstanceUid, "SOP Instance UID");
    }
  },
  "pydicom-reads-json": async (session) => {
    const forms = session.need(session.fixtures.forms);
    const answer = expectStatus(await session.get(`${pathsOf(forms).instance}/metadata`), 200);
    const script =
      "import json\n" +
      "ds = pydicom.Dataset.from_json(json.load(open(sys.argv[1]))[0], bulk_data_uri_handler=lambda *a: b'')\n" +
      "print(ds.SOPInstanceUID, str(ds.PatientName), ds.FrameIncrementPointer[1])";
    const printed = await readByPydicom(script, answer.body);
    expect(printed.includes(forms.sopInstanceUid), "pydicom reads another SOP Instance UID.");
    expect(printed.includes("=形="), "pydicom reads another name.");
  },
};
