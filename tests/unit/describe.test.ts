/** What the catalog keeps of a file: identifiers, warnings, metadata, places. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { inflateRawSync } from "node:zlib";
import { describe as describeFile, identifiersForResponse, identify } from "../../server/archive/describe.ts";
import { decodeFrameTable } from "../../server/dicom/frame-table.ts";
import { ArchiveError } from "../../server/errors.ts";
import { dicomFile, element, encapsulated, type FileOptions, type Piece, syntaxUid } from "../support/dicom-writer.ts";
import { scanned } from "../support/scan.ts";

const uids: Readonly<Record<number, string>> = {
  0x00080016: "1.2.840.10008.5.1.4.1.1.7",
  0x00080018: "1.2.3.4",
  0x0020000d: "1.2.3",
  0x0020000e: "1.2.3.1",
};

/** The identifiers, some of them replaced (by undefined: left out), among other elements in their order. */
function pieces(
  replaced: Readonly<Record<number, string | undefined>> = {},
  others: readonly [tag: number, Piece][] = [],
) {
  const identifiers = Object.entries({ ...uids, ...replaced }).flatMap(([tag, uid]): [number, Piece][] =>
    uid === undefined ? [] : [[Number(tag), element(Number(tag), "UI", uid)]],
  );
  return [...identifiers, ...others].sort(([one], [other]) => one - other).map(([, piece]) => piece);
}

const fileOf = (written: readonly Piece[], options: FileOptions = {}) => scanned(dicomFile(written, options));
const described = async (written: readonly Piece[], options: FileOptions = {}) =>
  describeFile(await fileOf(written, options));
const stored = { blobKey: "a/b/c", byteLength: 10, sha256: Buffer.alloc(32) };

async function missing(written: readonly Piece[], name: RegExp, options: FileOptions = {}) {
  const file = await fileOf(written, options);
  assert.throws(
    () => identify(file),
    (error) => error instanceof ArchiveError && error.code === "missing-identifier" && name.test(error.message),
  );
}

describe("describe", () => {
  it("finds the identifiers", async () => {
    const { identifiers, warnings } = await described(pieces());
    assert.deepEqual(identifiers, {
      sopClassUid: uids[0x00080016],
      sopInstanceUid: "1.2.3.4",
      studyInstanceUid: "1.2.3",
      seriesInstanceUid: "1.2.3.1",
    });
    assert.deepEqual(warnings, []);
  });

  it("refuses pixel data that ends behind a fragment and lacks frames, and warns when it lacks none", async () => {
    const frames = (declared: number) =>
      pieces({}, [
        [0x00280008, element(0x00280008, "IS", `${declared}`)],
        [0x7fe00010, encapsulated([], [Buffer.alloc(4), Buffer.alloc(4)], { delimited: false })],
      ]);
    const options = { syntax: "1.2.840.10008.1.2.5" };
    assert.deepEqual((await described(frames(2), options)).warnings, [
      "The pixel data has no sequence delimitation item.",
    ]);
    await assert.rejects(described(frames(3), options), { code: "truncated-dicom" });
  });

  it("refuses a file without one of them, naming it", async () => {
    const names: Readonly<Record<number, RegExp>> = {
      0x00080016: /SOPClassUID \(0008,0016\) is missing/,
      0x00080018: /SOPInstanceUID \(0008,0018\) is missing/,
      0x0020000d: /StudyInstanceUID \(0020,000D\) is missing/,
      0x0020000e: /SeriesInstanceUID \(0020,000E\) is missing/,
    };
    for (const [tag, name] of Object.entries(names)) {
      await missing(pieces({ [tag]: undefined }), name);
      await missing(pieces({ [tag]: "" }), name);
    }
  });

  it("refuses what is no UID", async () => {
    for (const uid of [
      "../../etc/passwd",
      "1.2/3",
      "1.2\\1.3",
      "abc",
      "1.2 .3",
      `1.${"2".repeat(128)}`,
      "1..2",
      ".1",
    ]) {
      await missing(pieces({ 0x0020000d: uid }), /StudyInstanceUID \(0020,000D\) is not a UID/);
    }
  });

  it("takes a SOP class that is only in the file meta information, but no instance", async () => {
    const meta = [element(0x00020002, "UI", "1.2.5"), element(0x00020003, "UI", "1.2.6")];
    const { identifiers, warnings, record } = await described(pieces({ 0x00080016: undefined }), { meta });
    assert.equal(identifiers.sopClassUid, "1.2.5");
    assert.match(warnings.join(), /MediaStorageSOPInstanceUID .* differs/);
    assert.equal(record(stored).instance.columns["sop_class_uid"], "1.2.5");
    await missing(pieces({ 0x00080018: undefined }), /SOPInstanceUID/, { meta });
  });

  it("believes the data set and says so where the file meta information differs", async () => {
    const meta = [element(0x00020002, "UI", "1.2.5"), element(0x00020003, "UI", "1.2.3.4")];
    const { identifiers, warnings } = await described(pieces(), { meta });
    assert.equal(identifiers.sopClassUid, uids[0x00080016]);
    assert.deepEqual(warnings, [
      "MediaStorageSOPClassUID (0002,0002) differs from SOPClassUID (0008,0016), which counts.",
    ]);
  });

  it("stores UIDs that PS3.5 forbids, with a warning each", async () => {
    const { warnings } = await described(pieces({ 0x0020000d: "1.02.3", 0x00080018: `1.${"3".repeat(70)}` }));
    assert.deepEqual(warnings, [
      "StudyInstanceUID has a component that begins with 0.",
      "SOPInstanceUID is longer than 64 characters.",
    ]);
  });

  it("tells the identifiers of a refused file, as far as there are any", async () => {
    const { dataSet } = await fileOf(pieces({ 0x00080018: undefined, 0x0020000d: "x" }));
    assert.deepEqual(identifiersForResponse(dataSet), { sopClassUid: uids[0x00080016] });
  });

  it("gathers every warning: of the scan, the character set, the index and the frames", async () => {
    const { warnings, record } = await described(
      pieces({}, [
        [0x00080005, element(0x00080005, "CS", "ISO_IR 999")],
        [0x00080020, element(0x00080020, "DA", "yesterday")],
        [0x00100010, element(0x00100010, "PN", "A")],
        [0x00100011, element(0x00100010, "PN", "B")],
        [0x7fe00010, element(0x7fe00010, "OB", Buffer.alloc(4))],
      ]),
    );
    const expected = [
      /is there twice/,
      /unknown term "ISO_IR 999"/,
      /StudyDate is ill-formed/,
      /frames cannot be told apart/,
    ];
    assert.equal(warnings.length, expected.length);
    for (const [index, pattern] of expected.entries()) assert.match(warnings[index] ?? "", pattern);
    assert.deepEqual(record(stored).instance.warnings, warnings);
  });

  it("keeps metadata, bulk data, frame table and place", async () => {
    const image: readonly [number, Piece][] = [
      [0x00091001, element(0x00091001, "OB", Buffer.alloc(5000))],
      [0x00280010, element(0x00280010, "US", [2])],
      [0x00280011, element(0x00280011, "US", [2])],
      [0x00280100, element(0x00280100, "US", [8])],
      [0x7fe00010, element(0x7fe00010, "OB", Buffer.alloc(4))],
    ];
    const file = await fileOf(pieces({}, image));
    const { study, series, instance } = describeFile(file).record(stored);
    assert.deepEqual([study.uid, series.uid, instance.uid], ["1.2.3", "1.2.3.1", "1.2.3.4"]);
    assert.deepEqual([instance.blobKey, instance.byteLength, instance.sha256], [stored.blobKey, 10, stored.sha256]);
    assert.equal(instance.dataSetOffset, file.dataSetOffset);
    assert.equal(instance.transferSyntaxUid, syntaxUid.explicitLittle);
    assert.deepEqual(Object.keys(instance.bulkData ?? {}), ["00091001", "7FE00010"]);
    const table = instance.frameTable && decodeFrameTable(instance.frameTable);
    assert.ok(table?.kind === "native" && table.count === 1);
    const text = inflateRawSync(instance.metadata).toString();
    const metadata: Record<string, unknown> = JSON.parse(text);
    assert.deepEqual(metadata["7FE00010"], {
      vr: "OB",
      BulkDataURI: "studies/1.2.3/series/1.2.3.1/instances/1.2.3.4/bulkdata/7FE00010",
    });
    assert.deepEqual(metadata["00083002"], { vr: "UI", Value: [syntaxUid.explicitLittle] });
    const tags = text.match(/(?<=")[0-9A-F]{8}(?=":)/g) ?? [];
    assert.deepEqual(tags, tags.toSorted(), "PS3.18 F.2.2: ascending");
  });

  it("keeps neither bulk data nor frame table where there is none", async () => {
    const { instance } = (await described(pieces())).record(stored);
    assert.deepEqual([instance.bulkData, instance.frameTable], [undefined, undefined]);
  });
});
