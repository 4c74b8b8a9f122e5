/** Retrieve transaction (PS3.18 10.4): instances and metadata of studies, series and instances. */
import type { Check, Checks } from "../check.ts";
import { attributeOf, dataSetsOf, textOf } from "../dicom-json.ts";
import { expect, expectBytes, expectEqual, expectParts, expectStatus, expectType, soleBody } from "../expect.ts";
import { losslessSamples } from "../fixtures.ts";
import { header } from "../http.ts";
import type { Instance } from "../instances.ts";
import { parseMediaType } from "../media.ts";
import { media, pathsOf, type Session } from "../session.ts";
import { transferSyntax } from "../write-dicom.ts";

/** The instances of study `ct`, all stored. */
function chest(session: Session): Instance[] {
  return [...session.fixtures.ct, session.fixtures.mr].map((instance) => session.need(instance));
}

/** A multipart answer holds exactly these files, in any order. */
async function expectFiles(session: Session, path: string, instances: readonly Instance[]): Promise<void> {
  const parts = expectParts(expectStatus(await session.get(path, media.dicom), 200), "application/dicom");
  expectEqual(parts.length, instances.length, "The number of parts");
  for (const { file } of instances) {
    expect(
      parts.some(({ body }) => body.equals(file)),
      "An instance is not among the parts as it was stored.",
    );
  }
}

/** Metadata of a path, in JSON. */
async function metadata(session: Session, path: string) {
  const answer = expectStatus(await session.get(`${path}/metadata`), 200);
  expectType(answer, "application/dicom+json");
  return dataSetsOf(answer);
}

/** An uncompressed instance comes in Explicit VR Little Endian, whatever it is stored in, with its pixels. */
async function expectExplicit(session: Session, instance: Instance, parameter: string): Promise<void> {
  const accept = `multipart/related; type="application/dicom"${parameter}`;
  const answer = await session.get(pathsOf(session.need(instance)).instance, accept);
  const body = soleBody(expectStatus(answer, 200));
  expect(body.includes(`${transferSyntax.explicitLittle}\0`), "The file is not in Explicit VR Little Endian.");
  expect(body.includes(Buffer.from("080018005549", "hex")), "SOP Instance UID is not written with its VR.");
  const pixels = instance.dataSet["PixelData"];
  const isSwapped = instance.transferSyntaxUid === transferSyntax.explicitBig;
  const expected = Buffer.isBuffer(pixels) ? Buffer.from(pixels) : Buffer.alloc(0);
  expect(body.includes(isSwapped ? expected.swap16() : expected), "The pixels are not those that were stored.");
}

function metadataCount(pathOf: (instance: Instance) => string, expected: number): Check {
  return async (session) => {
    const [first] = chest(session);
    if (!first) throw new TypeError("the fixture has instances");
    const dataSets = await metadata(session, pathOf(first));
    expectEqual(dataSets.length, expected, "The number of data sets");
    const uids = new Set(dataSets.map((dataSet) => textOf(dataSet, "SOPInstanceUID")));
    expectEqual(uids.size, expected, "The number of SOP Instance UIDs");
  };
}

function metadataXml(pathOf: (instance: Instance) => string, expected: number): Check {
  return async (session) => {
    const [first] = chest(session);
    if (!first) throw new TypeError("the fixture has instances");
    const answer = expectStatus(await session.get(`${pathOf(first)}/metadata`, media.xml), 200);
    const parts = expectParts(answer, "application/dicom+xml");
    expectEqual(parts.length, expected, "The number of parts");
    for (const { body } of parts) {
      expect(body.includes("<NativeDicomModel"), "A part is not a Native DICOM Model.");
      expect(body.includes(first.studyInstanceUid), "A part does not hold the Study Instance UID.");
    }
  };
}

/** A path is answered by 404. */
function missing(pathOf: (session: Session) => string, accept: string): Check {
  return async (session) => void expectStatus(await session.get(pathOf(session), accept), 404);
}

const never = ({ run }: Session) => run.uid("never stored");

export const retrieveChecks: Checks = {
  "retrieve-study": (session) => expectFiles(session, pathsOf(session.fixtures.mr).study, chest(session)),
  "retrieve-series": async (session) => {
    const files = session.fixtures.ct.map((instance) => session.need(instance));
    await expectFiles(session, pathsOf(session.need(files[0])).series, files);
  },
  "retrieve-instance": (session) =>
    expectFiles(session, pathsOf(session.fixtures.mr).instance, [session.need(session.fixtures.mr)]),
  "retrieve-instance-single-part": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const answer = expectStatus(await session.get(pathsOf(mr).instance, media.single), 200);
    expectType(answer, "application/dicom");
    expectBytes(answer.body, mr.file, "The body");
  },
  "retrieve-default-media-type": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const answer = expectStatus(await session.get(pathsOf(mr).instance, "*/*"), 200);
    const type = parseMediaType(header(answer, "content-type"));
    expect(type.type === "application/dicom" || type.params["type"] === "application/dicom", `It is ${type.type}.`);
    expectBytes(soleBody(answer), mr.file, "The instance");
  },
  "retrieve-multipart-names-type": async (session) => {
    const answer = expectStatus(await session.get(pathsOf(session.fixtures.mr).study, media.dicom), 200);
    const { type, params } = parseMediaType(header(answer, "content-type"));
    expectEqual([type, params["type"]], ["multipart/related", "application/dicom"], "The media type");
  },
  "retrieve-part-transfer-syntax": async (session) => {
    const photo = session.need(session.fixtures.photo);
    const [part] = expectParts(expectStatus(await session.get(pathsOf(photo).study, media.dicom), 200));
    const named = part?.mediaType.params["transfer-syntax"];
    expect(named === undefined || named === photo.transferSyntaxUid, `The part says that it is ${named ?? ""}.`);
    expectBytes(part?.body, photo.file, "The part");
  },
  "retrieve-named-transfer-syntax": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const accept = `multipart/related; type="application/dicom"; transfer-syntax=${transferSyntax.explicitLittle}`;
    expectBytes(soleBody(expectStatus(await session.get(pathsOf(mr).instance, accept), 200)), mr.file, "The instance");
  },
  "retrieve-stored-transfer-syntax": async (session) => {
    const photo = session.need(session.fixtures.photo);
    const accept = `multipart/related; type="application/dicom"; transfer-syntax=${photo.transferSyntaxUid}`;
    const body = soleBody(expectStatus(await session.get(pathsOf(photo).instance, accept), 200));
    expectBytes(body, photo.file, "The instance");
  },
  "retrieve-transcoded": async (session) => {
    const photo = session.need(session.fixtures.photo);
    const accept = `multipart/related; type="application/dicom"; transfer-syntax=${transferSyntax.explicitLittle}`;
    const body = soleBody(expectStatus(await session.get(pathsOf(photo).instance, accept), 200));
    expect(body.includes(`${transferSyntax.explicitLittle}\0`), "The file is not in Explicit VR Little Endian.");
    expect(body.length > 16 * 16 * 3 * 2, "The pixel data is not decoded.");
  },
  "retrieve-default-transfer-syntax": async (session) => {
    const lossless = session.need(session.fixtures.lossless);
    const answer = await session.get(pathsOf(lossless).instance, 'multipart/related; type="application/dicom"');
    const body = soleBody(expectStatus(answer, 200));
    expect(body.includes(`${transferSyntax.explicitLittle}\0`), "The file is not in Explicit VR Little Endian.");
    expect(body.includes(losslessSamples), "The pixel data is not decoded.");
  },
  "retrieve-implicit-as-explicit": (session) =>
    expectExplicit(session, session.fixtures.cine, `; transfer-syntax=${transferSyntax.explicitLittle}`),
  "retrieve-implicit-default": (session) => expectExplicit(session, session.fixtures.cine, ""),
  "retrieve-big-endian-as-explicit": async (session) => {
    const { bigEndian } = session.fixtures;
    await expectExplicit(session, bigEndian, `; transfer-syntax=${transferSyntax.explicitLittle}`);
  },
  "retrieve-unavailable-transfer-syntax": async (session) => {
    const mr = session.need(session.fixtures.mr);
    const accept = 'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.999';
    expectStatus(await session.get(pathsOf(mr).instance, accept), 406);
  },
  "retrieve-not-acceptable": async (session) => {
    expectStatus(await session.get(pathsOf(session.need(session.fixtures.mr)).instance, "text/csv"), 406);
  },
  "retrieve-unknown-study": missing((session) => `/studies/${never(session)}`, media.dicom),
  "retrieve-unknown-series": missing(
    (session) => `${pathsOf(session.fixtures.mr).study}/series/${never(session)}`,
    media.dicom,
  ),
  "retrieve-unknown-instance": missing(
    (session) => `${pathsOf(session.fixtures.mr).series}/instances/${never(session)}`,
    media.dicom,
  ),
  "retrieve-instance-of-other-series": missing((session) => {
    const { ct, mr } = session.fixtures;
    return `${pathsOf(session.need(ct[0])).series}/instances/${mr.sopInstanceUid}`;
  }, media.dicom),
  "metadata-unknown-study": missing((session) => `/studies/${never(session)}/metadata`, media.json),
  "metadata-study": metadataCount((instance) => pathsOf(instance).study, 4),
  "metadata-series": metadataCount((instance) => pathsOf(instance).series, 3),
  "metadata-instance": metadataCount((instance) => pathsOf(instance).instance, 1),
  "metadata-study-xml": metadataXml((instance) => pathsOf(instance).study, 4),
  "metadata-series-xml": metadataXml((instance) => pathsOf(instance).series, 3),
  "metadata-instance-xml": metadataXml((instance) => pathsOf(instance).instance, 1),
  "metadata-any-media-type": async (session) => {
    const answer = await session.get(`${pathsOf(session.need(session.fixtures.mr)).instance}/metadata`, "*/*");
    expectType(expectStatus(answer, 200), "application/dicom+json");
  },
  "metadata-not-acceptable": async (session) => {
    const { instance } = pathsOf(session.need(session.fixtures.mr));
    expectStatus(await session.get(`${instance}/metadata`, "image/png"), 406);
  },
  "metadata-no-pixel-data": async (session) => {
    const [dataSet] = await metadata(session, pathsOf(session.need(session.fixtures.photo)).instance);
    const pixels = attributeOf(dataSet, "PixelData");
    expect(pixels?.Value === undefined && pixels?.InlineBinary === undefined, "Pixel Data stands in the metadata.");
    expectEqual(textOf(dataSet, "Rows"), "16", "Rows");
  },
  "metadata-bulk-data-uri": async (session) => {
    const [dataSet] = await metadata(session, pathsOf(session.need(session.fixtures.mr)).instance);
    const uri = attributeOf(dataSet, "PixelData")?.BulkDataURI ?? "";
    expect(uri !== "", "Pixel Data has no BulkDataURI.");
  },
  "metadata-no-file-meta": async (session) => {
    const [dataSet] = await metadata(session, pathsOf(session.need(session.fixtures.mr)).instance);
    const group2 = Object.keys(dataSet ?? {}).filter((tag) => tag.startsWith("0002"));
    expectEqual(group2, [], "The File Meta Information in it");
  },
  "metadata-available-transfer-syntax": async (session) => {
    const photo = session.need(session.fixtures.photo);
    const [dataSet] = await metadata(session, pathsOf(photo).instance);
    expectEqual(textOf(dataSet, "00083002:UI"), photo.transferSyntaxUid, "Available Transfer Syntax UID");
  },
  "metadata-after-another-store": async (session) => {
    const both = ["1", "2"].map((name) =>
      session.run.instance("grown", "s", name, session.run.scratchAttributes("grown"), transferSyntax.explicitLittle),
    );
    let count = 0;
    for (const instance of both) {
      await session.stored(instance);
      count += 1;
      expectEqual((await metadata(session, pathsOf(instance).series)).length, count, "The number of data sets");
    }
  },
  "metadata-gzip": async (session) => {
    const { study } = pathsOf(session.need(session.fixtures.mr));
    const answer = await session.get(`${study}/metadata`, media.json, { "Accept-Encoding": "gzip" });
    expectStatus(answer, 200);
    expectEqual(header(answer, "content-encoding"), "gzip", "Content-Encoding");
  },
};
