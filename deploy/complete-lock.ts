/**
 * Completes package-lock.json after a change of dependencies: `npm run lock`.
 *
 * Tools such as oxlint come as one optional package a platform. A registry that mirrors only some of them makes npm
 * leave the others out of the lock file, and `npm ci` then refuses it everywhere. What such an entry must say (version,
 * system, processor) is all in the name and in the package that asks for it.
 */
import { readFile, writeFile } from "node:fs/promises";
import { z } from "zod";

const file = new URL("../package-lock.json", import.meta.url);

const entry = z.looseObject({
  version: z.string().optional(),
  dev: z.boolean().optional(),
  optionalDependencies: z.record(z.string(), z.string()).optional(),
});
const lockSchema = z.looseObject({ packages: z.record(z.string(), entry) });

const platform =
  /(?<system>darwin|win32|windows|linux|android|freebsd|openharmony)-(?<cpu>arm64|x64|ia32|arm|ppc64|riscv64|s390x)(?:-(?<abi>\w+))?$/;

/** The entry of an optional package that the registry did not have; undefined when its name tells no platform. */
function missingEntry(name: string, version: string, dev: boolean | undefined): object | undefined {
  const { system, cpu, abi = "" } = platform.exec(name)?.groups ?? {};
  if (system === undefined || cpu === undefined) return undefined;
  const libc = abi.startsWith("gnu") ? "glibc" : abi.startsWith("musl") ? "musl" : undefined;
  return {
    version,
    cpu: [cpu],
    ...(dev === true && { dev }),
    ...(libc !== undefined && { libc: [libc] }),
    optional: true,
    os: [system === "windows" ? "win32" : system],
  };
}

const lock = lockSchema.parse(JSON.parse(await readFile(file, "utf8")));
const added: [string, object][] = [];
for (const [parent, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(optionalDependencies)) {
    const places = [`node_modules/${name}`, `${parent}/node_modules/${name}`];
    if (places.some((place) => place in lock.packages)) continue;
    const made = missingEntry(name, version, dev);
    if (made) added.push([`node_modules/${name}`, made]);
  }
}
const packages = Object.entries({ ...lock.packages, ...Object.fromEntries(added) });
packages.sort(([one], [other]) => (one < other ? -1 : 1));
await writeFile(file, `${JSON.stringify({ ...lock, packages: Object.fromEntries(packages) }, null, 2)}\n`);
console.log(`${added.length} entries added to package-lock.json.`);
