/** `npm run test:crash -- --rounds 100 --victim server --seed 7`: the crash test in full; exit 1 when a promise broke. */
import { parseArgs } from "node:util";
import { lineOf } from "./account.ts";
import { crashRounds } from "./rounds.ts";
import { victims, type VictimName } from "./victims.ts";

const names = Object.keys(victims).filter(isVictim);

function isVictim(name: string): name is VictimName {
  return Object.hasOwn(victims, name);
}

const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "10" },
    victim: { type: "string", multiple: true, default: [...names] },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});
const [rounds, seed] = [Number(values.rounds), Number(values.seed)];
const chosen = values.victim.filter(isVictim);
if (!(rounds >= 1) || !Number.isInteger(seed) || chosen.length < values.victim.length) {
  console.error(`--rounds is a number of 1 or more, --seed a whole number, --victim one of ${names.join(", ")}.`);
  process.exit(2);
}
console.log(`--seed ${seed}`);
const stopping = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stopping.abort());
for (const name of chosen) {
  const { skip } = victims[name].requirement();
  if (skip !== false) {
    console.log(`${name}: skipped, ${skip}`);
    continue;
  }
  if (stopping.signal.aborted) break;
  const tell = (line: string) => console.log(`${name}: ${line}`);
  const account = await crashRounds(name, { rounds, seed, tell, signal: stopping.signal });
  console.log(lineOf(name, account));
  for (const problem of account.problems) console.log(`  ${problem}`);
  if (account.problems.length > 0) process.exitCode = 1;
}
