/** Runs the tests in one process: `npm test`, or `npm test -- tests/unit` for some. Prints what was skipped, and why. */
import { globSync } from "node:fs";
import path from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

process.env["TZ"] = "UTC";
const root = path.join(import.meta.dirname, "..");
const [wanted = "tests", ...more] = process.argv.slice(2);
const files = [wanted, ...more].flatMap((place) =>
  place.endsWith(".ts") ? [path.resolve(place)] : globSync(`${path.resolve(place)}/**/*.test.ts`),
);

const counts = { passed: 0, failed: 0, skipped: 0 };
const skipped = new Set<string>();
/** Milliseconds without any event of a test after which something that a test left open, or waits for, is to blame. */
const longestSilence = 300_000;

const stream = run({ files: files.sort(), isolation: "none", cwd: root });
// The runner itself would wait for ever.
const watchdog = setTimeout(() => {
  console.error(`The tests do not end; open are: ${process.getActiveResourcesInfo().join(", ")}`);
  process.exit(1);
}, longestSilence).unref();
stream.on("data", () => watchdog.refresh());
stream.on("test:pass", ({ details, skip }) => {
  if (details.type === "suite" && skip === undefined) return;
  if (skip === undefined) counts.passed += 1;
  else {
    counts.skipped += 1;
    skipped.add(String(skip));
  }
});
stream.on("test:fail", ({ details }) => {
  if (details.type !== "suite") counts.failed += 1;
  process.exitCode = 1;
});
stream.once("end", () => {
  for (const reason of skipped) console.log(`Skipped: ${reason}`);
  // A test that was meant to run and did not is a failure where everything must be there.
  if (process.env["TEST_REQUIRE_ALL"] === "1" && counts.skipped > 0) process.exitCode = 1;
  if (counts.passed + counts.failed + counts.skipped === 0) {
    console.error("No test was found.");
    process.exitCode = 1;
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
});

stream.compose(spec).pipe(process.stdout);
