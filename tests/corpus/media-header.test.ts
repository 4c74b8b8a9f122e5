/** The headers of compressed frames and videos of the corpus say what the data sets around them say. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { mediaOf } from "../../server/archive/media-classes.ts";
import { integerOf } from "../../server/dicom/data-set.ts";
import { frameTableOf } from "../../server/dicom/frames.ts";
import { requirement } from "../support/require.ts";
import { scanOnce } from "../support/scan.ts";
import { readableInstances } from "./files.ts";

/**
 * Labels that a header cannot tell: reversible streams that were cut, the order of packets, which progressive process,
 * whether a video may be fragmented.
 */
const asRead: Readonly<Record<string, string>> = {
  "1.2.840.10008.1.2.4.91": "1.2.840.10008.1.2.4.90",
  "1.2.840.10008.1.2.4.202": "1.2.840.10008.1.2.4.201",
  "1.2.840.10008.1.2.4.53": "1.2.840.10008.1.2.4.55",
  "1.2.840.10008.1.2.4.102.1": "1.2.840.10008.1.2.4.102",
};

/** A frame whose own header is broken. */
const broken = "nm/nm1_j2k_embedded_sequence_delimiter.dcm";

describe("headers of compressed media in the corpus", requirement("corpus"), () => {
  it("tell size, samples, bits and transfer syntax", async (t) => {
    const counts = new Map<string, number>();
    for (const { name, path } of await readableInstances()) {
      const file = await readFile(path);
      const scan = await scanOnce(file).catch(() => undefined);
      const pixels = scan?.pixelData;
      if (!scan || pixels?.kind !== "encapsulated") continue;
      const media = mediaOf(scan.transferSyntax.frameMediaType);
      if (media?.kind !== "pixels" || !media.read) continue;
      const { table } = frameTableOf(scan.dataSet, pixels, scan.transferSyntax);
      const segments = table?.kind === "encapsulated" ? table.frames[0] : pixels.fragments;
      const bytes = Buffer.concat((segments ?? []).map(({ offset, length }) => file.subarray(offset, offset + length)));
      const source = {
        byteLength: bytes.length,
        async *bytes(offset = 0, length = bytes.length) {
          yield bytes.subarray(offset, offset + length);
        },
      };
      if (name === broken) continue;
      const header = await media.read(source);
      const { uid } = scan.transferSyntax;
      const said = [header.rows, header.columns, header.samplesPerPixel];
      const declared = [0x00280010, 0x00280011, 0x00280002].map((tag) => integerOf(scan.dataSet, tag));
      assert.deepEqual(said, declared, name);
      assert.ok(header.bitsStored >= (integerOf(scan.dataSet, 0x00280101) ?? 0), `bits of ${name}`);
      assert.ok(
        [uid, asRead[uid]].includes(header.transferSyntaxUid),
        `${name}: ${header.transferSyntaxUid} of ${uid}`,
      );
      counts.set(scan.transferSyntax.uid, (counts.get(scan.transferSyntax.uid) ?? 0) + 1);
    }
    t.diagnostic([...counts].map(([uid, count]) => `${count} of ${uid}`).join(", "));
    assert.ok(counts.size > 12);
  });
});
