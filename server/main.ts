/** The process: settings, server, signals. */
import "./threads.ts";
import { ConfigError, describeMistyped, loadConfig } from "./config.ts";
import { ArchiveError } from "./errors.ts";
import { createLog } from "./log.ts";
import { type RunningServer, startServer } from "./server.ts";

/** What the user can mend is one clear sentence; anything else shows where it broke. */
function fail(error: unknown): never {
  const known = error instanceof ConfigError || (error instanceof ArchiveError && error.code !== "internal");
  process.stderr.write(
    `${known || !(error instanceof Error) ? String(error).replace(/^\w+Error: /, "") : error.stack}\n`,
  );
  process.exit(1);
}

async function main(): Promise<void> {
  const config = loadConfig();
  const log = createLog(config.LOG_LEVEL);
  const mistyped = describeMistyped();
  if (mistyped !== undefined) log.warn({}, mistyped);
  const state: { stopping: boolean; server?: RunningServer } = { stopping: false };
  const stop = (signal: NodeJS.Signals) => {
    if (state.stopping) process.exit(1);
    state.stopping = true;
    log.info({ signal }, "stopping; a second signal ends at once");
    // A start under way is stopped when it is done.
    state.server?.stop().then(() => {
      log.info({}, "stopped");
      process.exit(0);
    }, fail);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  const server = await startServer(config, log);
  state.server = server;
  if (state.stopping) {
    await server.stop();
    process.exit(0);
  }
  log.info({ url: server.url, dataFolder: config.DATA_DIR }, `listening on ${server.url}`);
}

main().catch(fail);
