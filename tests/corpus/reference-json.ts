/** An independent reading of a file: DCMTK's dcm2json, on a copy without the pixel data, which it refuses when encapsulated. */
import { execFile } from "node:child_process";
import { copyFile, rm } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { pathOf } from "../support/require.ts";

const run = promisify(execFile);

/** An attribute of the DICOM JSON Model, as loosely as it takes to compare. */
export interface ReferenceAttribute {
  readonly vr: string;
  readonly Value?: readonly unknown[] | undefined;
  readonly InlineBinary?: string | undefined;
  readonly BulkDataURI?: string | undefined;
}
export type ReferenceJson = Readonly<Record<string, ReferenceAttribute>>;

const attribute = z.object({
  vr: z.string(),
  Value: z.array(z.unknown()).optional(),
  InlineBinary: z.string().optional(),
  BulkDataURI: z.string().optional(),
});

/** Attributes by tag. */
export const jsonModel = z.record(z.string(), attribute);

export interface Reference {
  readonly json: ReferenceJson;
  /** False where DCMTK cannot convert the character set of the file: its text is then not compared. */
  readonly textIsComparable: boolean;
}

/** Terms that DCMTK of Debian has no conversion for: the rest of the file can be compared when it is taken as Latin-1. */
const unconvertible = /ISO 2022 IR (87|159)/;
/** How some files misspell Latin-1, which DCMTK does not let pass. */
const misspelt = /ISO-IR/;
/** Files whose standard attributes are all UN, the character set too: it then reads as a list of bytes. */
const writtenAsUn = /value 1 of \d+ '49'/;

/** @param folder where a copy of the file may be made */
export async function readByDcmtk(file: string, folder: string): Promise<Reference> {
  const copy = path.join(folder, `${path.basename(file)}-${process.hrtime.bigint()}`);
  await copyFile(file, copy);
  try {
    await modify(copy, "--erase-all", "(7fe0,0010)");
    try {
      const json = await toJson(copy);
      if (!Object.entries(json).some(([tag, { vr }]) => vr === "UN" && tag < "0009"))
        return { json, textIsComparable: true };
      await run(tool("dcmconv"), ["--convert-un", copy, copy]);
      return { json: await toJson(copy), textIsComparable: true };
    } catch (error) {
      const message = error instanceof Error ? error.message : "";
      if (writtenAsUn.test(message)) {
        await run(tool("dcmconv"), ["--convert-un", copy, copy]);
        return { json: await toJson(copy), textIsComparable: true };
      }
      if (!unconvertible.test(message) && !misspelt.test(message)) throw error;
      await modify(copy, "--modify-all", "(0008,0005)=ISO_IR 100");
      return { json: await toJson(copy), textIsComparable: misspelt.test(message) };
    }
  } finally {
    await rm(copy, { force: true });
  }
}

async function modify(file: string, ...change: readonly string[]): Promise<void> {
  await run(tool("dcmodify"), ["--no-backup", "--ignore-missing-tags", ...change, file]);
}

function tool(name: string): string {
  return path.join(path.dirname(pathOf("dcmtk")), name);
}

async function toJson(file: string): Promise<ReferenceJson> {
  const options = { maxBuffer: 512 * 2 ** 20, encoding: "utf8" } as const;
  const { stdout } = await run(pathOf("dcmtk"), ["--compact-code", "--encode-extended", file], options);
  return jsonModel.parse(JSON.parse(stdout.replaceAll(/\b-?(nan|inf)\b/g, (word) => `"${word}"`)));
}
