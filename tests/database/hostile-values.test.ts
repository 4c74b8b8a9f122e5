/** Values that PostgreSQL refuses: they are stored, not indexed, and named, whatever the sender wrote. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { type Archive, createArchive } from "../../server/archive/archive.ts";
import { levelAttributes } from "../../server/archive/attributes.ts";
import { entryOfKeyword } from "../../server/dicom/dictionary.ts";
import { newUid } from "../../server/dicom/uid.ts";
import { createLog } from "../../server/log.ts";
import { openFileBlobs } from "../../storage/blobs-file.ts";
import { type Catalog, createCatalog } from "../../storage/catalog.ts";
import { dicomFile, element, explicitLittle, type Piece, raw, sequence, write } from "../support/dicom-writer.ts";
import { type TestDatabase, testDatabase } from "../support/postgres.ts";
import { type Random, randomFrom } from "../support/random.ts";

const seed = Number(process.env["TEST_SEED"] ?? 20_251);
const rounds = Number(process.env["TEST_ROUNDS"] ?? 2);

/** Query tags of every VR that can be one, of attributes that are searched only by them. */
const tagged = [
  "RetrieveAETitle",
  "SelectorASValue",
  "FrameIncrementPointer",
  "ScanOptions",
  "DateOfLastCalibration",
  "KVP",
  "FrameAcquisitionDateTime",
  "RealWorldValueSlope",
  "SelectorFLValue",
  "EchoNumbers",
  "FilterType",
  "DerivationDescription",
  "HumanPerformerName",
  "CodeValue",
  "ReferencePixelX0",
  "RedPaletteColorLookupTableDescriptor",
  "InstitutionAddress",
  "SelectorSSValue",
  "SelectorSVValue",
  "TimeOfLastCalibration",
  "LongCodeValue",
  "SynchronizationFrameOfReferenceUID",
  "RegionFlags",
  "RetrieveURL",
  "TextValue",
  "SelectorUVValue",
];

describe("hostile values", () => {
  let database: TestDatabase;
  let archive: Archive;
  let folder = "";
  const refused: unknown[] = [];

  before(async () => {
    database = await testDatabase();
    folder = await mkdtemp(path.join(tmpdir(), "noctis-hostile-"));
    const real = createCatalog(database.knex);
    const catalog: Catalog = {
      ...real,
      commit: (records, options) =>
        real.commit(records, options).catch((error: unknown) => {
          refused.push(error);
          throw error;
        }),
    };
    archive = createArchive({ blobs: await openFileBlobs({ folder }), catalog, log: createLog("silent") });
  });
  after(async () => {
    await database.drop();
    await rm(folder, { recursive: true, force: true });
  });

  const store = async (bytes: Buffer) => {
    async function* body() {
      yield bytes;
    }
    return archive.store(body());
  };

  it(`are stored, with any value of any VR (seed ${seed})`, async (t) => {
    for (const keyword of tagged) await archive.queryTags.add([{ path: keyword, level: "series" }]);
    const random = randomFrom(seed);
    let count = 0;
    for (let round = 0; round < rounds; round += 1) {
      const files = Array.from({ length: 32 }, () => hostileFile(random));
      const outcomes = await Promise.all(files.map(({ bytes }) => store(bytes)));
      assert.deepEqual(refused, [], "PostgreSQL refuses no transaction");
      outcomes.forEach((outcome, index) => {
        const why = outcome.status === "failed" ? outcome.error : "";
        assert.equal(outcome.status, "stored", `file ${count + index} of seed ${seed}: ${why}`);
      });
      count += files.length;
    }
    const rows = await database.knex("instance").count("* as count").first();
    assert.equal(rows?.["count"], count);
    t.diagnostic(`${count} instances`);
  });

  it("are named when they are too long for an index", async () => {
    const random = randomFrom(seed);
    const long = (characters: number) => Buffer.from(ideographs(random, characters));
    const outcome = await store(
      dicomFile([
        ...identifiers(),
        element(0x00100010, "PN", long(450)),
        element(0x00100020, "LO", long(450)),
        element(0x00100021, "LO", long(450)),
        element(0x00200010, "SH", Buffer.concat([long(60), Buffer.from("\0\0")])),
      ]),
    );
    assert.equal(outcome.status, "stored", outcome.status === "failed" ? String(outcome.error.cause) : "");
    const named = outcome.status === "stored" ? outcome.warnings.join(" ") : "";
    for (const keyword of ["PatientName", "PatientID", "IssuerOfPatientID"]) assert.match(named, new RegExp(keyword));
    assert.doesNotMatch(named, /StudyID/);
  });
});

function identifiers(): Piece[] {
  return [
    element(0x00080005, "CS", "ISO_IR 192"),
    element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7"),
    element(0x00080018, "UI", newUid()),
    element(0x0020000d, "UI", newUid()),
    element(0x0020000e, "UI", newUid()),
  ];
}

const charsets = [
  "ISO_IR 192",
  "ISO_IR 100",
  "GB18030",
  "\\ISO 2022 IR 87",
  "\\ISO 2022 IR 149",
  "ISO_IR 6\0",
  "x\0y",
  "",
];
const shortLengths = [1, 2, 16, 63, 64, 65, 255, 499, 500, 501, 900, 2704, 8191];
const kept = new Set([0x00080005, 0x00080016, 0x00080018, 0x0020000d, 0x0020000e]);
const keywords = [...new Set([...levelAttributes.map(({ keyword }) => keyword), ...tagged])];

function hostileFile(random: Random): { bytes: Buffer } {
  const pieces: [tag: number, piece: Piece][] = [
    [0x00080005, element(0x00080005, "CS", charsets[random(charsets.length)] ?? "")],
    [0x00080016, element(0x00080016, "UI", "1.2.840.10008.5.1.4.1.1.7")],
    [0x00080018, element(0x00080018, "UI", newUid())],
    [0x0020000d, element(0x0020000d, "UI", newUid())],
    [0x0020000e, element(0x0020000e, "UI", newUid())],
  ];
  for (const keyword of keywords) {
    const entry = entryOfKeyword(keyword);
    assert.ok(entry, keyword);
    if (kept.has(entry.tag) || random(3) === 0) continue;
    pieces.push([entry.tag, hostileElement(entry.tag, entry.vr, random)]);
  }
  pieces.sort(([one], [other]) => one - other);
  return { bytes: dicomFile(pieces.map(([, piece]) => piece)) };
}

function hostileElement(tag: number, vr: string, random: Random): Piece {
  if (vr === "SQ") return sequence(tag, [nested(random, random(40))]);
  const written = random(12) === 0 ? "UN" : vr;
  return element(tag, written, even(hostileValue(vr, random), vr));
}

/** Sequences in sequences, with a text at the bottom. */
function nested(random: Random, depth: number): Piece[] {
  const text = element(0x00080104, "LO", even(hostileValue("LO", random), "LO"));
  if (depth === 0) return [text];
  const inner = write(nested(random, depth - 1), explicitLittle);
  return [text, sequence(0x00081140, [[raw(inner)]], { open: random(2) === 0 })];
}

function even(value: Buffer, vr: string): Buffer {
  const longest = ["UT", "UC", "UR", "UN", "OB"].includes(vr) ? 100_000 : 65_000;
  const cut = value.subarray(0, longest);
  return cut.length % 2 === 0 ? cut : Buffer.concat([cut, Buffer.from(" ")]);
}

const known: Readonly<Record<string, readonly string[]>> = {
  DA: ["00000000", "00010101", "99991231", "20240230", "0001.01.01", "9999.99.99", "20240101-", "1", "2024\x00101"],
  TM: ["24", "235960", "2359599", "235959.9999999", "23:59:60", "-1", "\0", "000000.000000"],
  DT: ["00010101000000+1400", "99991231235959.999999-1400", "0000", "2024+9999", "20240230", "99991231+0000"],
  IS: [
    "99999999999999999999",
    "-99999999999999999999",
    "9223372036854775808",
    "1e5",
    "-0",
    "+5",
    "0x10",
    "\0",
    "9007199254740991",
  ],
  DS: ["1e400", "-1e-400", "1e308", "123456789012345678901234567890", ".", "NaN", "Infinity", "1e-9999999"],
  AS: ["999Y", "\0\0\0\0"],
  UI: ["1.2.", "....", "1.2\0\0", "x".repeat(200)],
};

function hostileValue(vr: string, random: Random): Buffer {
  const own = known[vr] ?? [];
  const choice = random(own.length > 0 ? 8 : 7);
  const length = shortLengths[random(shortLengths.length)] ?? 1;
  if (choice === 0) return anyBytes(random, length);
  if (choice === 1) return Buffer.from(ideographs(random, length));
  if (choice === 2)
    return Buffer.from(Array.from({ length }, () => String.fromCodePoint(0x10000 + random(0xfffff))).join(""));
  if (choice === 3) return Buffer.from(Array.from({ length }, () => String.fromCharCode(1 + random(126))).join(""));
  // A surrogate in UTF-8, NUL, the highest character, a non-character, quotes and braces of PostgreSQL's arrays.
  if (choice === 4) return Buffer.from("eda08000f48fbfbfefbfbf22277b2c7d5c5c753030303022", "hex");
  if (choice === 5)
    return Buffer.from(Array.from({ length: 1 + random(1200) }, () => ideographs(random, 1)).join("\\"));
  if (choice === 6)
    return Buffer.from(["^", "=", "\\", " ", "\0", "a^", "=b"].map((text) => text.repeat(1 + random(300))).join(""));
  return Buffer.from(own[random(own.length)] ?? "", "latin1");
}

function anyBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

/** Three bytes each in UTF-8, and nothing that can be compressed. */
function ideographs(random: Random, length: number): string {
  return Array.from({ length }, () => String.fromCharCode(0x4e00 + random(0x5000))).join("");
}
