/** `npm run conformance`: runs the matrix against a DICOM server, prints a table, and exits 1 on a regression. */
import { writeFile as writeText } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { parseArgs } from "node:util";
import { closeConnections } from "./http.ts";
import {
  type Expected,
  readExpected,
  readMatrix,
  type Result,
  withStatus,
  writeExpected,
  writeMatrix,
} from "./matrix.ts";
import { byChapter, chapterOf, outcomeLine, totals } from "./report.ts";
import { Session } from "./session.ts";
import { parseDimseTarget } from "./target.ts";
import { improvements, type Outcome, regressions, runLines } from "./suite.ts";

const usage = `Runs the conformance matrix against a DICOMweb server (PS3.18), and its DIMSE application (PS3.4, PS3.7, PS3.8).

  npm run conformance -- --url http://127.0.0.1:8080/dicom-web

  --url URL          base of the DICOMweb service; nothing is started here
  --wado URL         address of WADO-URI (default: /wado of the same host)
  --api URL          base of the server's own interface (default: /api of the same host)
  --dimse AE@H:PORT  its DIMSE application; without it the lines of PS3.4, PS3.7 and PS3.8 are skipped
  --header "N: v"    header of every request, e.g. Authorization; may be given more than once
  --only PATTERN     only lines whose id, section or check the regular expression matches
  --expected FILE    results to compare with (default: those of Noctis); none: compare with nothing
  --update           write the results into expected.json, and our status into matrix.json
  --json FILE        write the results as JSON, too
  --seed TEXT        UIDs and identifiers of the run (default: new ones)
  --keep             leave what was stored in the server

The suite stores synthetic patients whose identifiers begin with CF-, and deletes them at the end.`;

const { values: given } = parseArgs({
  options: {
    url: { type: "string" },
    wado: { type: "string" },
    api: { type: "string" },
    dimse: { type: "string" },
    header: { type: "string", multiple: true, default: [] },
    only: { type: "string", default: "" },
    expected: { type: "string" },
    update: { type: "boolean", default: false },
    json: { type: "string" },
    seed: { type: "string", default: randomUUID() },
    keep: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

if (given.help || given.url === undefined) {
  console.log(usage);
  process.exitCode = given.help ? 0 : 2;
} else {
  process.exitCode = await main(given.url.replace(/\/+$/, ""));
}

async function main(url: string): Promise<number> {
  const { origin } = new URL(url);
  const target = {
    url,
    wadoUrl: given.wado ?? `${origin}/wado`,
    apiUrl: given.api ?? `${origin}/api`,
    dimse: given.dimse === undefined ? undefined : parseDimseTarget(given.dimse),
    headers: headers(),
  };
  const pattern = new RegExp(given.only);
  const matrix = await readMatrix();
  const wanted = matrix.filter(({ id, section, check }) => [id, section, check].some((text) => pattern.test(text)));
  const lines = byChapter(wanted);
  const expected = given.expected === "none" ? {} : await readExpected(given.expected);
  const session = new Session(target, given.seed);
  console.log(`${lines.length} of ${matrix.length} lines against ${url}, seed ${given.seed}`);
  try {
    await session.prepare();
  } catch (error) {
    console.error(`${url} cannot be reached: ${error instanceof Error ? error.message : String(error)}`);
    return 2;
  }
  for (const fault of session.faults) console.log(`  not stored: ${fault}`);
  let chapter = "";
  const outcomes = await runLines(session, lines, (outcome) => {
    if (chapterOf(outcome.line) !== chapter) console.log(`\n${(chapter = chapterOf(outcome.line))}`);
    console.log(outcomeLine(outcome));
  });
  await session.close();
  const left = given.keep ? 0 : await session.cleanUp();
  closeConnections();
  console.log(`\n${totals(outcomes)}\n`);
  if (left > 0)
    console.log(`${left} resources could not be deleted; their patients begin with CF-${session.run.token}.`);
  if (given.json !== undefined) await writeText(given.json, `${JSON.stringify(outcomes.map(plain), null, 2)}\n`);
  if (given.update) {
    const results = updated(await readExpected(), outcomes, new Set(matrix.map(({ id }) => id)));
    await writeExpected(results);
    await writeMatrix(withStatus(matrix, results));
    return 0;
  }
  return compare(outcomes, expected);
}

function compare(outcomes: readonly Outcome[], expected: Expected): number {
  const better = improvements(outcomes, expected);
  if (given.expected !== "none" && better.length > 0) {
    console.log(`${better.length} better than expected: ${better.map(({ line }) => line.id).join(", ")}`);
  }
  const worse = regressions(outcomes, expected);
  if (worse.length === 0) {
    console.log("No regression.");
    return 0;
  }
  console.log(`${worse.length} regressions:\n${worse.map(outcomeLine).join("\n")}`);
  return 1;
}

/** The expected results with those of this run in them; a line that was skipped keeps what it had. */
function updated(before: Expected, outcomes: readonly Outcome[], ids: ReadonlySet<string>): Expected {
  const results = new Map<string, Result>(Object.entries(before));
  for (const { line, result } of outcomes) {
    if (result !== "skip" || !results.has(line.id)) results.set(line.id, result);
  }
  return Object.fromEntries([...ids].flatMap((id) => [[id, results.get(id) ?? "skip"]]));
}

function plain({ line, result, why }: Outcome) {
  return { ...line, result, why };
}

function headers(): Record<string, string> {
  return Object.fromEntries(
    given.header.map((text) => {
      const colon = text.indexOf(":");
      return [text.slice(0, colon).trim(), text.slice(colon + 1).trim()];
    }),
  );
}
