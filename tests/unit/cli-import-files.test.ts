/** Tests of what the importer takes for a DICOM file, and what it reads from it. */
import assert from "node:assert/strict";
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { after, before, describe, it } from "node:test";
import { deflateRawSync } from "node:zlib";

import { findFiles, readIdentifiers } from "../../server/cli/import-files.ts";
import { scanHeader } from "../../server/cli/import-header.ts";
import { InstanceUnreadable } from "../../server/cli/import-instance.ts";
import { corpusPath, requirement } from "../support/require.ts";

type Pair = readonly [tag: number, value: string];

const uids: readonly Pair[] = [
  [0x0008_0016, "1.2.3"],
  [0x0008_0018, "1.2.3.4"],
  [0x0020_000d, "1.2.3.5"],
  [0x0020_000e, "1.2.3.6"],
];
const found = {
  sopClassUid: "1.2.3",
  sopInstanceUid: "1.2.3.4",
  studyInstanceUid: "1.2.3.5",
  seriesInstanceUid: "1.2.3.6",
};
const explicitLittle = "1.2.840.10008.1.2.1";
const implicitLittle = "1.2.840.10008.1.2";
const explicitBig = "1.2.840.10008.1.2.2";
const deflated = "1.2.840.10008.1.2.1.99";

function even(text: string): Buffer {
  return Buffer.from(text.length % 2 === 0 ? text : `${text}\0`, "latin1");
}

function explicit([tag, value]: Pair, big = false): Buffer {
  const content = even(value);
  const head = Buffer.alloc(8);
  const put = (number: number, at: number): number =>
    big ? head.writeUInt16BE(number, at) : head.writeUInt16LE(number, at);
  put(Math.floor(tag / 0x10000), 0);
  put(tag % 0x10000, 2);
  head.write("UI", 4, "latin1");
  put(content.length, 6);
  return Buffer.concat([head, content]);
}

function implicit([tag, value]: Pair): Buffer {
  const content = even(value);
  const head = Buffer.alloc(8);
  head.writeUInt16LE(Math.floor(tag / 0x10000), 0);
  head.writeUInt16LE(tag % 0x10000, 2);
  head.writeUInt32LE(content.length, 4);
  return Buffer.concat([head, content]);
}

/** Preamble, "DICM" and a file meta information with the given Media Storage SOP Class and Transfer Syntax. */
function meta(syntax: string, sopClass = "1.2.3"): Buffer {
  const elements = [explicit([0x0002_0002, sopClass]), explicit([0x0002_0010, syntax])];
  return Buffer.concat([Buffer.alloc(128), Buffer.from("DICM"), ...elements]);
}

const dataSet = Buffer.concat(uids.map((pair) => explicit(pair)));
/** (0008,1140) SQ of undefined length that holds, in an item of undefined length, a UID that is not the instance's. */
const nested = Buffer.concat([
  Buffer.from("0800401153510000ffffffff", "hex"),
  Buffer.from("feff00e0ffffffff", "hex"),
  explicit([0x0020_000d, "9.9.9"]),
  Buffer.from("feff0de000000000", "hex"),
  Buffer.from("feffdde000000000", "hex"),
]);

describe("finding files to import", () => {
  describe("header", () => {
    const encodings: readonly (readonly [name: string, file: Buffer])[] = [
      ["explicit VR little endian", Buffer.concat([meta(explicitLittle), dataSet])],
      ["implicit VR little endian", Buffer.concat([meta(implicitLittle), ...uids.map(implicit)])],
      ["explicit VR big endian", Buffer.concat([meta(explicitBig), ...uids.map((pair) => explicit(pair, true))])],
      ["deflated", Buffer.concat([meta(deflated), deflateRawSync(dataSet)])],
      ["no preamble, file meta information first", Buffer.concat([meta(explicitLittle).subarray(132), dataSet])],
      ["no preamble, explicit VR", dataSet],
      ["no preamble, implicit VR", Buffer.concat(uids.map(implicit))],
    ];
    for (const [name, file] of encodings) {
      it(`is read: ${name}`, async () => {
        const { transferSyntaxUid, ...identifiers } = (await scanHeader(file))?.identifiers ?? {};
        assert.deepEqual(identifiers, found);
        assert.ok(transferSyntaxUid === undefined || file.includes(transferSyntaxUid));
      });
    }

    it("does not take the UIDs of a nested data set for its own", async () => {
      const file = Buffer.concat([meta(explicitLittle), ...uids.slice(0, 2).map((pair) => explicit(pair)), nested]);
      assert.equal((await scanHeader(file))?.identifiers.studyInstanceUid, undefined);
      const whole = Buffer.concat([file, ...uids.slice(2).map((pair) => explicit(pair))]);
      assert.equal((await scanHeader(whole))?.identifiers.studyInstanceUid, "1.2.3.5");
    });

    it("ends quietly wherever the bytes end", async () => {
      const file = Buffer.concat([meta(explicitLittle), nested, dataSet]);
      for (let length = 0; length < file.length; length += 1) {
        const scan = await scanHeader(file.subarray(0, length));
        assert.equal(scan?.complete ?? false, false);
      }
    });

    it("is not seen in other files", async () => {
      const others = [
        "",
        "hello, world: no image here",
        "%PDF-1.4",
        "PK\u0003\u0004",
        "\u0008\u0000\u0000\u0000 text, text",
      ];
      for (const text of others) assert.equal(await scanHeader(Buffer.from(text)), undefined, text);
      assert.equal(await scanHeader(Buffer.alloc(400)), undefined);
    });
  });

  describe("files", () => {
    let folder = "";
    before(async () => {
      folder = await mkdtemp(join(tmpdir(), "noctis-import-"));
      await mkdir(join(folder, "b", "deep"), { recursive: true });
      await mkdir(join(folder, ".git"));
      await writeFile(join(folder, "IM000001"), Buffer.concat([meta(explicitLittle), dataSet]));
      await writeFile(join(folder, "b", "deep", "x.dcm"), Buffer.concat([meta(explicitLittle), dataSet]));
      await writeFile(join(folder, "DICOMDIR"), meta(explicitLittle, "1.2.840.10008.1.3.10"));
      await writeFile(join(folder, "README.txt"), "See the images.");
      await writeFile(join(folder, ".DS_Store"), "x");
      await writeFile(join(folder, ".git", "config"), "x");
      await writeFile(join(folder, "nothing.dcm"), "");
      await symlink(folder, join(folder, "b", "loop"));
    });
    after(() => rm(folder, { recursive: true }));

    it("are found with what else is there, each once, in order", async () => {
      const all = await findFiles([folder, join(folder, "b"), join(folder, "absent")], 4);
      const names = all.instances.map(({ name }) => relative(folder, name));
      assert.deepEqual(names, ["IM000001", join("b", "deep", "x.dcm")]);
      const reasons = new Map(all.unusable.map(({ name, reason }) => [relative(folder, name), reason]));
      const expected = {
        "README.txt": "not a DICOM file",
        absent: "no such file or folder",
        "nothing.dcm": "an empty file",
      };
      assert.deepEqual(reasons, new Map(Object.entries(expected)));
      assert.equal(all.hidden, 2);
      assert.equal(all.dicomdirs, 1);
    });

    it("beside something called DICOMDIR are taken only when that is a DICOMDIR", async () => {
      const parent = join(folder, "b", "other");
      const dicomdir = meta(explicitLittle, "1.2.840.10008.1.3.10");
      for (const name of ["DICOMDIR", "dicomdir", "DicomDir"]) {
        const path = join(parent, name);
        const namesFound = async (): Promise<string[]> =>
          (await findFiles([path], 1)).instances.map((instance) => relative(parent, instance.name));
        await mkdir(path, { recursive: true });
        await writeFile(join(parent, "neighbour"), Buffer.concat([meta(explicitLittle), dataSet]));
        await writeFile(join(path, "own"), Buffer.concat([meta(explicitLittle), dataSet]));
        assert.deepEqual(await namesFound(), [join(name, "own")], "a folder");
        await rm(path, { recursive: true });
        assert.deepEqual(await namesFound(), [], "nothing");
        await writeFile(path, "a letter");
        assert.deepEqual(await namesFound(), [], "some file");
        await writeFile(path, Buffer.concat([meta(explicitLittle), dataSet]));
        assert.deepEqual(await namesFound(), [name], "an instance");
        await rm(path);
        await mkdir(join(parent, "medium"));
        await writeFile(join(parent, "medium", "DIR"), dicomdir);
        await writeFile(join(parent, "medium", "IM1"), Buffer.concat([meta(explicitLittle), dataSet]));
        await symlink(join(parent, "medium", "DIR"), path);
        assert.deepEqual(await namesFound(), [join("medium", "IM1")], "a link to one elsewhere");
        await rm(join(parent, "medium"), { recursive: true });
        await rm(path);
        await writeFile(path, dicomdir);
        assert.deepEqual(await namesFound(), ["neighbour"], "a DICOMDIR");
        await rm(parent, { recursive: true });
      }
    });

    it("are taken when named, hidden or not", async () => {
      const all = await findFiles([join(folder, ".DS_Store")], 1);
      assert.deepEqual([all.hidden, all.unusable.length], [0, 1]);
    });

    it("have their UIDs read behind long elements too", async () => {
      const long = Buffer.alloc(12 + 100_000);
      long.write("\u0009\u0000\u0001\u0010UN\u0000\u0000", 0, "latin1");
      long.writeUInt32LE(100_000, 8);
      const path = join(folder, "b", "long");
      const pairs = uids.map((pair) => explicit(pair));
      await writeFile(path, Buffer.concat([meta(explicitLittle), ...pairs.slice(0, 2), long, ...pairs.slice(2)]));
      assert.deepEqual(await readIdentifiers(path), { transferSyntaxUid: explicitLittle, ...found });
      await rm(path);
    });

    it("yield their bytes, and one clear error when they vanish", async () => {
      const path = join(folder, "vanishing");
      for (const byteLength of [1000, 3_000_000]) {
        await writeFile(path, Buffer.concat([meta(explicitLittle), dataSet]));
        await truncate(path, byteLength);
        const [instance] = (await findFiles([path], 1)).instances;
        assert.ok(instance);
        let read = 0;
        for await (const chunk of instance.open()) read += chunk.byteLength;
        assert.equal(read, byteLength);
        await rm(path);
        await assert.rejects(async () => {
          for await (const chunk of instance.open()) read += chunk.byteLength;
        }, InstanceUnreadable);
      }
    });

    it("of a DICOMDIR file-set are found without the DICOMDIR", requirement("corpus"), async () => {
      const all = await findFiles([corpusPath("dicomdir", "fileset")], 8);
      assert.equal(all.dicomdirs, 6);
      assert.deepEqual(all.unusable, []);
      assert.ok(all.instances.length > 20);
      assert.ok(all.instances.every(({ identifiers }) => identifiers.sopInstanceUid !== undefined));
    });
  });
});
