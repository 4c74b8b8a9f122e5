/** Runs a command on the archive itself: the settings of the environment, beside a running server or without one. */
import { type Config, ConfigError, describeMistyped, loadConfig } from "../config.ts";
import { ArchiveError } from "../errors.ts";
import { createCommandLog, type Log } from "../log.ts";
import { type OpenArchive, openArchive } from "../open-archive.ts";

/**
 * The exit code of `use`, or 1 and one sentence on stderr for what the user can mend. The signal aborts at the first
 * Ctrl-C or SIGTERM, and `use` ends soon after; a second one ends the process at once.
 */
export function withArchive(use: (open: OpenArchive, signal: AbortSignal) => Promise<number>): Promise<number> {
  return withSettings(async (config, log, signal) => {
    const open = await openArchive(config, log, { beside: true });
    try {
      return await use(open, signal);
    } finally {
      await open.close();
    }
  });
}

/** The same for what opens what it needs of the settings itself. */
export async function withSettings(
  use: (config: Config, log: Log, signal: AbortSignal) => Promise<number>,
): Promise<number> {
  const stopping = new AbortController();
  const stop = () => {
    if (stopping.signal.aborted) process.exit(130);
    stopping.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  try {
    const config = loadConfig();
    const mistyped = describeMistyped();
    if (mistyped !== undefined) console.error(mistyped);
    return await use(config, createCommandLog("error"), stopping.signal);
  } catch (error) {
    const mendable = error instanceof ConfigError || (error instanceof ArchiveError && error.code !== "internal");
    if (!mendable) throw error;
    console.error(error.message);
    return 1;
  } finally {
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}
