/** Native files of the corpus in implicit VR and in big endian, as DIMSE sends them: DCMTK reads what its own dcmconv makes. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { dataSetBytes } from "../../server/archive/convert.ts";
import { part10Header } from "../../server/dicom/part10-writer.ts";
import { transferSyntaxOf } from "../../server/dicom/transfer-syntax.ts";
import { newUid, parseUid } from "../../server/dicom/uid.ts";
import { atOnce } from "../support/at-once.ts";
import { heldObject, joined } from "../support/held-object.ts";
import { requirement } from "../support/require.ts";
import { readableInstances } from "./files.ts";
import { readByDcmtk } from "./reference-json.ts";

const run = promisify(execFile);
const implicitLittle = "1.2.840.10008.1.2";
const targets = { "1.2.840.10008.1.2": "+ti", "1.2.840.10008.1.2.2": "+tb" } as const;

describe("conversion between native transfer syntaxes", requirement("corpus", "dcmtk"), () => {
  let folder: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "noctis-native-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  for (const [target, option] of Object.entries(targets)) {
    it(`gives what dcmconv ${option} gives`, async (t) => {
      // DCMTK has a dictionary of private attributes: of implicit VR it gives more VRs than the file does.
      let count = 0;
      const all = await readableInstances();
      const native = all.filter(({ transferSyntaxUid: uid }) => transferSyntaxOf(uid)?.pixels === "native");
      await atOnce(
        native.filter(
          ({ transferSyntaxUid: uid }) => uid !== target && (target === implicitLittle || uid !== implicitLittle),
        ),
        async (file) => {
          const wanted = path.join(folder, `${newUid()}.dcm`);
          const made = path.join(folder, `${newUid()}.dcm`);
          // Some files are beyond DCMTK.
          if (
            !(await run("dcmconv", [option, file.path, wanted]).then(
              () => true,
              () => false,
            ))
          )
            return;
          const { blobs, place } = await heldObject(await readFile(file.path), file.transferSyntaxUid);
          const header = part10Header({
            sopClassUid: parseUid(file.sopClassUid || "1.2.3"),
            sopInstanceUid: newUid(),
            transferSyntaxUid: parseUid(target),
          });
          await writeFile(made, Buffer.concat([header, await joined(dataSetBytes(blobs, place, target))]));
          const [ours, theirs] = [await readByDcmtk(made, folder), await readByDcmtk(wanted, folder)];
          assert.deepEqual(ours.json, theirs.json, file.name);
          await Promise.all([rm(made), rm(wanted)]);
          count += 1;
        },
      );
      t.diagnostic(`${count} files`);
      assert.ok(count > 50, `${count} files`);
    });
  }
});
