/** The UIDs of files of the corpus as DCMTK reads them, all in one run of dcmdump. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { CorpusFile } from "./files.ts";

const run = promisify(execFile);

/** What identifies an instance. */
export interface Identity {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
}

const tags = {
  sopClassUid: "0008,0016",
  sopInstanceUid: "0008,0018",
  studyInstanceUid: "0020,000d",
  seriesInstanceUid: "0020,000e",
} as const;

/** The identity of each file that has all four UIDs, by its path. */
export async function identitiesOf(files: readonly CorpusFile[]): Promise<ReadonlyMap<string, Identity>> {
  const paths = files.map((file) => file.path);
  const wanted = Object.values(tags).flatMap((tag) => ["+P", tag]);
  const args = ["-q", "+E", "+L", "+F", "+p", "+uc", "-Un", "-M", ...wanted, ...paths];
  // It exits with 1 when it could not read one of them.
  const { stdout } = await run("dcmdump", args, { encoding: "latin1", maxBuffer: 2 ** 26 }).catch(
    (error: { readonly stdout: string }) => error,
  );
  const identities = new Map<string, Identity>();
  for (const part of stdout.split(/^# dcmdump \(\d+\/\d+\): /m).slice(1)) {
    const [path = "", ...lines] = part.split("\n");
    const valueOf = (tag: string) => {
      const line = lines.find((one) => one.startsWith(`(${tag})`));
      return (
        /^\([^)]+\) \S+ \[([^\]]*)\]/
          .exec(line ?? "")?.[1]
          ?.replaceAll("\0", "")
          .trim() ?? ""
      );
    };
    const identity = {
      sopClassUid: valueOf(tags.sopClassUid),
      sopInstanceUid: valueOf(tags.sopInstanceUid),
      studyInstanceUid: valueOf(tags.studyInstanceUid),
      seriesInstanceUid: valueOf(tags.seriesInstanceUid),
    };
    if (Object.values(identity).every((uid) => uid !== "")) identities.set(path, identity);
  }
  return identities;
}
