/** The slices that the measurements of ingest store: read from a folder, made when there is none, with fresh UIDs. */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { textOf } from "../server/dicom/data-set.ts";
import { Part10Scan } from "../server/dicom/part10.ts";
import { element } from "../tests/support/dicom-writer.ts";
import { imageFile } from "../tests/support/images.ts";

/** A file in memory, and the UIDs in it that a store must not see twice: of the instance, the series and the study. */
export interface Slice {
  readonly bytes: Buffer;
  readonly uids: readonly string[];
}

const uidTags = [0x00080018, 0x0020000e, 0x0020000d];

/** The first `count` files below `folder`, by name. */
export async function sliceFiles(folder: string, count: number): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".dcm"));
  return files
    .map((entry) => path.join(entry.parentPath, entry.name))
    .sort()
    .slice(0, count);
}

/** Makes `count` CT slices of 0.5 MB each in `folder`. */
export async function makeSlices(folder: string, count: number): Promise<void> {
  await mkdir(folder, { recursive: true });
  const noise = Buffer.alloc(512 * 512 * 2);
  for (let at = 0; at < noise.length; at += 2) noise.writeUInt16LE((at * 7919) % 4096, at);
  const uids = { study: "1.2.826.0.1.3680043.8.498.77000001", series: "1.2.826.0.1.3680043.8.498.77000002" };
  for (let number = 1; number <= count; number += 1) {
    const { bytes } = imageFile(
      "1.2.840.10008.1.2.1",
      {
        "00080016": ["UI", "1.2.840.10008.5.1.4.1.1.2"],
        "00080018": ["UI", `1.2.826.0.1.3680043.8.498.78${String(number).padStart(6, "0")}`],
        "00080008": ["CS", "ORIGINAL\\PRIMARY\\AXIAL"],
        "00080030": ["TM", "101112.000000"],
        "00080050": ["SH", "ACC77"],
        "00080060": ["CS", "CT"],
        "00080070": ["LO", "Bench"],
        "00081030": ["LO", "CT CHEST W CONTRAST"],
        "0008103E": ["LO", "Axial 1 mm"],
        "00180050": ["DS", "1.0"],
        "00180060": ["DS", "120"],
        "00200011": ["IS", "1"],
        "00200013": ["IS", String(number)],
        "00200032": ["DS", `-250\\-250\\${number}`],
        "00200037": ["DS", "1\\0\\0\\0\\1\\0"],
        "00280002": ["US", [1]],
        "00280004": ["CS", "MONOCHROME2"],
        "00280010": ["US", [512]],
        "00280011": ["US", [512]],
        "00280030": ["DS", "0.9765625\\0.9765625"],
        "00280100": ["US", [16]],
        "00280101": ["US", [12]],
        "00280102": ["US", [11]],
        "00280103": ["US", [0]],
        "00281050": ["DS", "40"],
        "00281051": ["DS", "400"],
      },
      [element(0x7fe00010, "OW", noise)],
      uids,
    );
    await writeFile(path.join(folder, `IM${String(number).padStart(6, "0")}.dcm`), bytes);
  }
}

/** Reads `files`, each of which has the three UIDs. */
export async function readSlices(files: readonly string[]): Promise<readonly Slice[]> {
  const slices: Slice[] = [];
  for (const file of files) {
    const bytes = await readFile(file);
    const scan = new Part10Scan();
    await scan.push(bytes);
    const { dataSet } = await scan.end();
    slices.push({ bytes, uids: uidTags.map((tag) => textOf(dataSet, tag) ?? "") });
  }
  return slices;
}

/**
 * The same slices with other UIDs of the same length, changed in place: the longest first, since a study's UID is often
 * the beginning of those below it.
 */
export function renewUids(slices: readonly Slice[], seed: string): readonly Slice[] {
  return slices.map(({ bytes, uids }) => {
    for (const uid of [...uids].sort((one, other) => other.length - one.length))
      replace(bytes, uid, renewed(uid, seed));
    return { bytes, uids: uids.map((uid) => renewed(uid, seed)) };
  });
}

function renewed(uid: string, seed: string): string {
  const digits = BigInt(`0x${createHash("sha256").update(`${seed} ${uid}`).digest("hex")}`).toString();
  return `2.25.7${digits}`.slice(0, uid.length);
}

function replace(bytes: Buffer, from: string, to: string): void {
  for (let at = bytes.indexOf(from, 0, "latin1"); at !== -1; at = bytes.indexOf(from, at, "latin1")) {
    bytes.write(to, at, "latin1");
  }
}
