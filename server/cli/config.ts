/** `noctis config`: the settings in force, secrets masked. */
import { ConfigError, describeConfig, loadConfig } from "../config.ts";
import type { Command } from "./command.ts";

/** The subcommand. */
export const configCommand: Command = {
  name: "config",
  summary: "print the settings in force",
  usage: "Usage: noctis config\n\nPrints every setting with its value in force, secrets masked, and its meaning.",
  async run() {
    try {
      const lines = describeConfig(loadConfig());
      const width = Math.max(...lines.map(({ name, value }) => name.length + value.length + 1));
      for (const { name, value, description } of lines)
        console.log(`${`${name}=${value}`.padEnd(width)}  # ${description}`);
      return 0;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      console.error(error.message);
      return 1;
    }
  },
};
