/** `noctis config`: the settings in force, secrets masked. */
import { ConfigError, type ConfigLine, describeConfig, describeMistyped, loadConfig } from "../config.ts";
import type { Command } from "./command.ts";

const indent = "    ";
const usage = "Usage: noctis config\n\nPrints every setting with its value in force, secrets masked, and its meaning.";

/** Lines of at most `width` characters, broken at `breaks`; a piece that is longer has a line of its own. */
function wrap(text: string, breaks: RegExp, first: string, further: string, width: number): string[] {
  const lines: string[] = [];
  let line = first;
  for (const piece of text.split(breaks)) {
    if ((line + piece).trimEnd().length > width && line.trim() !== further.trim()) {
      lines.push(line.trimEnd());
      line = further;
    }
    line += piece;
  }
  return [...lines, line.trimEnd()];
}

/** Settings for a terminal of `width` columns: name and value, and below it the meaning. Only lists are broken. */
export function settingLines(settings: readonly ConfigLine[], width: number): string[] {
  return settings.flatMap(({ name, value, description }) => [
    ...wrap(value, /(?<=,)/, `${name}=`, indent, width),
    ...wrap(description, /(?<= )/, `${indent}# `, `${indent}# `, width),
  ]);
}

/** The subcommand. */
export const configCommand: Command = {
  name: "config",
  summary: "print the settings in force",
  usage,
  async run(args) {
    if (args.length > 0) {
      console.error(`noctis config takes no arguments.\n\n${usage}`);
      return 2;
    }
    try {
      const settings = describeConfig(loadConfig());
      const width = Math.min(120, Math.max(80, process.stdout.columns ?? 80));
      console.log(settingLines(settings, width).join("\n"));
      const mistyped = describeMistyped();
      if (mistyped !== undefined) console.error(mistyped);
      return 0;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      console.error(error.message);
      return 1;
    }
  },
};
