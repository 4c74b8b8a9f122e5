#!/usr/bin/env node
/** The `noctis` command: one file a subcommand in cli/, loaded when it is called. */
import type { Command } from "./cli/command.ts";

/** Subcommands in the order in which a newcomer meets them. */
const commands: Readonly<Record<string, { readonly summary: string; readonly load: () => Promise<Command> }>> = {
  demo: {
    summary: "make a synthetic patient and store it",
    load: async () => (await import("./cli/demo.ts")).demoCommand,
  },
  import: {
    summary: "send files and folders to a server",
    load: async () => (await import("./cli/import.ts")).importCommand,
  },
  config: {
    summary: "print the settings in force",
    load: async () => (await import("./cli/config.ts")).configCommand,
  },
};

function usage(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(8)} ${summary}`);
  return `Usage: noctis COMMAND [options]\n\nCommands:\n${lines.join("\n")}\n\nnoctis COMMAND --help tells more.`;
}

async function run([name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(usage());
    return name === undefined ? 2 : 0;
  }
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!found) {
    console.error(`There is no command ${JSON.stringify(name)}.\n\n${usage()}`);
    return 2;
  }
  const command = await found.load();
  if (args.includes("--help") || args.includes("-h")) {
    console.log(command.usage);
    return 0;
  }
  return command.run([...args]);
}

process.exitCode = await run(process.argv.slice(2));
