/** The foreign parts that some tests use: where each is found, and what to install when it is absent. */
import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdtempSync, rmdirSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { isWhole, readManifest } from "../../ohif-config/build-manifest.ts";
import { viewerBuildFolder } from "../../ohif-config/version.ts";

interface ForeignPart {
  /** Where the part is: an executable or a folder; undefined when it is absent. */
  readonly probe: () => string | undefined;
  /** One line that tells how to get it. */
  readonly install: string;
}

/** Tools of DCMTK that the tests run; all come with the one package. */
const dcmtkTools = [
  "dcm2json",
  "dcm2xml",
  "dcmdump",
  "dcmftest",
  "dcmqrscp",
  "echoscu",
  "findscu",
  "getscu",
  "movescu",
  "storescp",
  "storescu",
  "termscu",
];

const orthancDicomWebPlugin = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so";

const foreignParts = {
  chromium: {
    probe: () => findExecutable("chromium") ?? findExecutable("chromium-browser"),
    install: "needs Chromium: apt-get install chromium",
  },
  dcmtk: {
    probe: () => (dcmtkTools.every((tool) => findExecutable(tool)) ? findExecutable("dcm2json") : undefined),
    install: "needs the DCMTK tools: apt-get install dcmtk",
  },
  orthanc: {
    probe: () => findExecutable("Orthanc"),
    install: "needs Orthanc: apt-get install orthanc",
  },
  orthancDicomWeb: {
    probe: () => [orthancDicomWebPlugin].find((file) => existsSync(file)),
    install: "needs the DICOMweb plugin of Orthanc: apt-get install orthanc-dicomweb",
  },
  radosgw: {
    probe: () => (findExecutable("ceph-mon") && findExecutable("ceph-osd") ? findExecutable("radosgw") : undefined),
    install: "needs a Ceph S3 server: apt-get install --no-install-recommends ceph-mon ceph-osd radosgw",
  },
  unzip: {
    probe: () => findExecutable("unzip"),
    install: "needs unzip: apt-get install unzip",
  },
  openssl: {
    probe: () => findExecutable("openssl"),
    install: "needs OpenSSL: apt-get install openssl",
  },
  setpriv: {
    probe: () => findExecutable("setpriv"),
    install: "needs setpriv: apt-get install util-linux",
  },
  strace: {
    probe: () => findExecutable("strace"),
    install: "needs strace: apt-get install strace",
  },
  tmpfs: {
    probe: tmpfsProbe,
    install: "needs file systems of its own: run the tests as root where mount is allowed",
  },
  corpus: {
    probe: corpusProbe,
    install: "needs the DICOM corpus: set CORPUS_DIR to its folder",
  },
  viewer: {
    probe: viewerProbe,
    install: "needs the OHIF viewer: npm run viewer",
  },
} as const satisfies Record<string, ForeignPart>;

/** Name of a foreign part. */
export type ForeignPartName = keyof typeof foreignParts;

/** What node:test takes as `skip`: false, or the reason. */
export interface SkipOption {
  readonly skip: false | string;
}

/**
 * The `skip` option of a test that needs `names`: `it("...", requirement("dcmtk"), async () => ...)`.
 * With TEST_REQUIRE_ALL=1 it throws instead, so that the suite which asked fails.
 */
export function requirement(...names: readonly ForeignPartName[]): SkipOption {
  const absent = names.filter((name) => foreignParts[name].probe() === undefined);
  if (absent.length === 0) return { skip: false };
  const reason = absent.map((name) => foreignParts[name].install).join("; ");
  if (process.env["TEST_REQUIRE_ALL"] === "1") throw new Error(`TEST_REQUIRE_ALL=1, and this ${reason}`);
  return { skip: reason };
}

/** The executable (or folder) of a foreign part. Throws when it is absent: guard the test by `requirement`. */
export function pathOf(name: ForeignPartName): string {
  const found = foreignParts[name].probe();
  if (found === undefined) throw new Error(`This ${foreignParts[name].install}`);
  return found;
}

/** The folder of the corpus, or of one file in it. Throws when it is absent: guard by `requirement("corpus")`. */
export function corpusPath(...names: readonly string[]): string {
  return path.join(pathOf("corpus"), ...names);
}

/** Full path of an executable on the PATH (or in sbin, where servers live); undefined when there is none. */
function findExecutable(name: string): string | undefined {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/sbin", "/sbin"];
  return folders.map((folder) => path.join(folder, name)).find(isExecutable);
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Whether a file system in memory can be mounted, by doing it once. */
function tmpfsProbe(): string | undefined {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return undefined;
  canMount ??= tryMount();
  return canMount ? findExecutable("mount") : undefined;
}

let canMount: boolean | undefined;

function tryMount(): boolean {
  const folder = mkdtempSync(path.join(tmpdir(), "noctis-mount-"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], { stdio: "ignore" });
    execFileSync("umount", [folder], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(folder);
  }
}

/** CORPUS_DIR, else the folder `shared/corpus` beside the repository. */
function corpusProbe(): string | undefined {
  const beside = path.resolve(import.meta.dirname, "../../../shared/corpus");
  const folder = process.env["CORPUS_DIR"] ?? beside;
  return existsSync(folder) ? folder : undefined;
}

/** The build that the server serves, when all of it is there. */
function viewerProbe(): string | undefined {
  const manifest = readManifest(viewerBuildFolder);
  return manifest !== undefined && isWhole(viewerBuildFolder, manifest) ? viewerBuildFolder : undefined;
}
