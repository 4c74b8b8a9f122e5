/** The corpus as its INDEX.tsv tells it: one row a file. */
import { readFile } from "node:fs/promises";
import { corpusPath } from "../support/require.ts";

export interface CorpusFile {
  /** Path below the corpus, which names the file in messages. */
  readonly name: string;
  readonly path: string;
  readonly sha256: string;
  /** Empty where the file does not say. */
  readonly transferSyntaxUid: string;
  /** SOP Class UID; empty where the file does not say. */
  readonly sopClassUid: string;
}

/** Media Storage Directory Storage (PS3.10 8.6): an index of files, not an instance. */
const dicomdir = "1.2.840.10008.1.3.10";

/** Files that every reader can read, and that are instances. */
export async function readableInstances(): Promise<CorpusFile[]> {
  const files = await allFiles();
  return files.filter(({ name, sopClassUid }) => !name.startsWith("malformed/") && !isDicomdir(name, sopClassUid));
}

/** DICOMDIR files. */
export async function directories(): Promise<CorpusFile[]> {
  const files = await allFiles();
  return files.filter(({ name, sopClassUid }) => isDicomdir(name, sopClassUid));
}

/** Broken, hostile and odd-but-legal files. */
export async function malformedFiles(): Promise<CorpusFile[]> {
  const files = await allFiles();
  return files.filter(({ name }) => name.startsWith("malformed/"));
}

function isDicomdir(name: string, sopClassUid: string): boolean {
  return sopClassUid === dicomdir || name.includes("/DICOMDIR");
}

/** Every file. */
export async function allFiles(): Promise<CorpusFile[]> {
  const [header = "", ...lines] = (await readFile(corpusPath("INDEX.tsv"), "utf8")).trimEnd().split("\n");
  const columns = header.split("\t");
  return lines.map((line) => {
    const cells = line.split("\t");
    const cell = (column: string) => cells[columns.indexOf(column)] ?? "";
    const name = cell("file");
    return {
      name,
      path: corpusPath(name),
      sha256: cell("sha256"),
      transferSyntaxUid: cell("transfer_syntax_uid"),
      sopClassUid: cell("sop_class_uid"),
    };
  });
}
