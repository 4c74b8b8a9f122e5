/**
 * Measures C-FIND by accession number on one association, of one study among 1,000 and among 100,000:
 * `node bench/dimse-find.ts [requests] [studies...]`. The client is a process of its own.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { z } from "zod";
import { startTestServer } from "../tests/support/server.ts";
import { seedStudies } from "./seed-studies.ts";

const [requests = 5000, ...given] = process.argv.slice(2).map(Number);
const catalogs = given.length === 0 ? [1000, 100_000] : given;
const rounds = 3;

/** What workstations ask for: date, time, accession number, names and ids, with or without what is counted. */
const plain =
  "00080020:DA,00080030:TM,00080050:SH,00080090:PN,00081030:LO,00100010:PN,00100020:LO,00100030:DA,00100040:CS,0020000D:UI,00200010:SH";
const keySets = { "11 keys": plain, "and what is counted": `${plain},00080061:CS,00201206:IS,00201208:IS` };

const answer = z.object({ seconds: z.number(), matches: z.number(), cpuSeconds: z.number() });

say(`${"studies".padStart(8)}  ${"keys".padEnd(20)} requests/s  ms each  server CPU ms  client CPU ms`);
for (const studies of catalogs) {
  const server = await startTestServer({ LOG_LEVEL: "error" });
  try {
    await seedStudies(server.knex, studies);
    await server.knex.raw("vacuum analyze");
    for (const [name, keys] of Object.entries(keySets)) {
      const times: { perSecond: number; serverCpu: number; clientCpu: number }[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const cpu = process.cpuUsage();
        const { seconds, matches, cpuSeconds } = await measure(server.dimsePort, "NOCTIS", studies, keys);
        const { user, system } = process.cpuUsage(cpu);
        if (matches !== requests) throw new Error(`${matches} matches of ${requests} requests`);
        times.push({
          perSecond: requests / seconds,
          serverCpu: (user + system) / 1000 / (requests + 500),
          clientCpu: (cpuSeconds * 1000) / requests,
        });
      }
      const median = times.toSorted((one, other) => one.perSecond - other.perSecond)[1] ?? times[0];
      if (!median) continue;
      const { perSecond, serverCpu, clientCpu } = median;
      const numbers = [perSecond.toFixed(0).padStart(10), (1000 / perSecond).toFixed(2).padStart(8)];
      say(
        `${String(studies).padStart(8)}  ${name.padEnd(20)} ${numbers.join(" ")} ${serverCpu.toFixed(2).padStart(14)} ${clientCpu.toFixed(2).padStart(14)}`,
      );
    }
  } finally {
    await server.stop();
  }
}

async function measure(port: number, called: string, studies: number, keys: string): Promise<z.infer<typeof answer>> {
  const client = fork(path.join(import.meta.dirname, "dimse-find-client.ts"), [
    String(port),
    called,
    String(studies),
    String(requests),
    keys,
  ]);
  const exited = once(client, "exit").then(() => Promise.reject(new Error("the client ended without an answer")));
  const [message]: unknown[] = await Promise.race([once(client, "message"), exited]);
  exited.catch(() => undefined);
  return answer.parse(message);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
