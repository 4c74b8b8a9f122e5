/** `noctis check`: whether the database and the object store of the settings can be used. */
import type { Command } from "./command.ts";
import { withArchive } from "./with-archive.ts";

const usage = `Usage: noctis check

Opens the database and the object store that the settings name, writes and reads in both, and says whether they work.
A server may run meanwhile, or not. Exit code: 0 when both work, 1 otherwise.`;

/** The subcommand. */
export const checkCommand: Command = {
  name: "check",
  summary: "see whether the database and the object store work",
  usage,
  async run(args) {
    if (args.length > 0) {
      console.error(`noctis check takes no arguments.\n\n${usage}`);
      return 2;
    }
    return withArchive(async ({ archive }) => {
      await archive.check();
      console.log("The database and the object store work.");
      return 0;
    });
  },
};
