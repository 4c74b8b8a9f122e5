/** `npm --prefix conformance test`: libraries that others wrote as DIMSE peers of a server, in both directions. */
import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { Skipped } from "../expect.ts";
import { closeConnections } from "../http.ts";
import { Session } from "../session.ts";
import { parseDimseTarget } from "../target.ts";
import { dcmjsDimse } from "./dcmjs-dimse.ts";
import { dicomDimseNative } from "./dicom-dimse-native.ts";

const usage = `Tries libraries of DICOM as DIMSE peers of a server.

  npm --prefix conformance install
  npm --prefix conformance test -- --url http://127.0.0.1:8080/dicom-web --dimse NOCTIS@127.0.0.1:11112

dicom-dimse-native is built from source, which takes minutes and a C++ compiler with CMake; where that fails it is left out,
which is said. What is stored is deleted at the end.`;

const { values: given } = parseArgs({ options: { url: { type: "string" }, dimse: { type: "string" } } });

if (given.url === undefined || given.dimse === undefined) {
  console.log(usage);
  process.exitCode = 2;
} else if (process.send === undefined) {
  // A process with the storage SCP of dicom-dimse-native in it does not end by itself, nor by process.exit.
  const child = fork(import.meta.filename, process.argv.slice(2));
  child.once("exit", (code) => (process.exitCode ??= code ?? 1));
  child.once("message", (code) => {
    process.exitCode = Number(code);
    child.kill("SIGKILL");
  });
} else {
  process.send(await main(given.url.replace(/\/+$/, ""), given.dimse));
}

async function main(url: string, dimse: string): Promise<number> {
  const { origin } = new URL(url);
  const addresses = { url, wadoUrl: `${origin}/wado`, apiUrl: `${origin}/api`, headers: {} };
  const session = new Session({ ...addresses, dimse: parseDimseTarget(dimse) }, randomUUID());
  await session.prepare();
  const counts = { pass: 0, FAIL: 0, skip: 0 };
  const say = (result: keyof typeof counts, what: string, why = "") => {
    counts[result] += 1;
    console.log(`  ${result} ${what}${why === "" ? "" : `\n       -> ${why}`}`);
  };
  for (const { name, load } of [dcmjsDimse, dicomDimseNative]) {
    const checks = load();
    if (!checks) say("skip", name, "It is not installed: npm --prefix conformance install.");
    for (const { library, what, run } of checks ?? []) {
      try {
        await run(session);
        say("pass", `${library} ${what}`);
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error);
        say(error instanceof Skipped ? "skip" : "FAIL", `${library} ${what}`, why);
      }
    }
  }
  const left = await session.cleanUp();
  closeConnections();
  console.log(
    `\n${counts.pass} passed, ${counts.FAIL} failed, ${counts.skip} skipped; ${left} studies could not be deleted`,
  );
  return counts.FAIL > 0 ? 1 : 0;
}
