/** CPU of a process and all below it, as Linux counts it in /proc. */
import { readdir, readFile } from "node:fs/promises";

/** Of /proc/<pid>/stat, by the place behind the name of the program (proc(5)). */
const places = { parent: 1, user: 11, system: 12, childUser: 13, childSystem: 14 } as const;

/** Clock ticks a second: USER_HZ, 100 on every Linux that Node runs on. */
const ticks = 100;

/** Seconds of CPU: of the process `pid` itself, and of all that it has started. */
export async function cpuSeconds(pid: number): Promise<{ readonly own: number; readonly below: number }> {
  const all = new Map<number, readonly number[]>();
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = await readFile(`/proc/${name}/stat`, "latin1").catch(() => undefined);
    if (stat === undefined) continue;
    all.set(
      Number(name),
      stat
        .slice(stat.lastIndexOf(")") + 2)
        .split(" ")
        .map(Number),
    );
  }
  const below = (parent: number): number =>
    [...all.entries()]
      .filter(([, fields]) => fields[places.parent] === parent)
      .reduce(
        (sum, [child, fields]) => sum + used(fields, "user", "system", "childUser", "childSystem") + below(child),
        0,
      );
  const ended = used(all.get(pid), "childUser", "childSystem");
  return { own: used(all.get(pid), "user", "system"), below: ended + below(pid) };
}

function used(fields: readonly number[] | undefined, ...of: readonly (keyof typeof places)[]): number {
  return of.reduce((sum, name) => sum + (fields?.[places[name]] ?? 0), 0) / ticks;
}
