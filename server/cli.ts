#!/usr/bin/env node
/** The `noctis` command: one file a subcommand in cli/, loaded when it is called. */
import type { Command } from "./cli/command.ts";
import { version } from "./version.ts";

const helpWords: readonly (string | undefined)[] = ["help", "--help", "-h"];
const versionWords: readonly (string | undefined)[] = ["version", "--version", "-v", "-V"];

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
  reindex: {
    summary: "make the catalog of the objects that have no row",
    load: async () => (await import("./cli/reindex.ts")).reindexCommand,
  },
  check: {
    summary: "see whether the database and the object store work",
    load: async () => (await import("./cli/check.ts")).checkCommand,
  },
  verify: {
    summary: "see whether every object is there and unharmed",
    load: async () => (await import("./cli/verify.ts")).verifyCommand,
  },
  backup: {
    summary: "copy the archive to another place, or verify the copy",
    load: async () => (await import("./cli/backup.ts")).backupCommand,
  },
  restore: {
    summary: "make an archive of a backup, or bring single objects back",
    load: async () => (await import("./cli/restore.ts")).restoreCommand,
  },
  quarantine: {
    summary: "list, try again or purge files that could not be stored",
    load: async () => (await import("./cli/quarantine.ts")).quarantineCommand,
  },
  retention: {
    summary: "see what the rules of retention would remove, or remove it",
    load: async () => (await import("./cli/retention.ts")).retentionCommand,
  },
  "dimse-user": {
    summary: "make a line of the file of users of DIMSE",
    load: async () => (await import("./cli/dimse-user.ts")).dimseUserCommand,
  },
  peers: {
    summary: "list, add or remove the applications to talk to",
    load: async () => (await import("./cli/peers.ts")).peersCommand,
  },
  echo: {
    summary: "ask a peer whether it is there",
    load: async () => (await import("./cli/echo.ts")).echoCommand,
  },
  find: {
    summary: "query a peer",
    load: async () => (await import("./cli/find.ts")).findCommand,
  },
  send: {
    summary: "send files or studies to a peer",
    load: async () => (await import("./cli/send.ts")).sendCommand,
  },
  fetch: {
    summary: "bring studies of a peer into this archive",
    load: async () => (await import("./cli/fetch.ts")).fetchCommand,
  },
  config: {
    summary: "print the settings in force",
    load: async () => (await import("./cli/config.ts")).configCommand,
  },
};

function usage(): string {
  const lines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(10)} ${summary}`);
  return `Usage: noctis COMMAND [options]

Commands:
${lines.join("\n")}

Options:
  --help       show this text; noctis COMMAND --help tells more
  --version    show the version

The server itself is started by npm start.`;
}

/** What a command line is about: a command whose help is asked for, by `help COMMAND` or `COMMAND --help`, has that alone. */
function parse([first, ...rest]: readonly string[]): { name: string | undefined; help: boolean; args: string[] } {
  if (helpWords.includes(first)) return { name: rest[0], help: true, args: [] };
  return { name: first, help: rest.some((word) => word === "--help" || word === "-h"), args: rest };
}

async function run(words: readonly string[]): Promise<number> {
  if (versionWords.includes(words[0])) {
    console.log(`noctis ${version}`);
    return 0;
  }
  const { name, help, args } = parse(words);
  if (name === undefined) {
    console.log(usage());
    return help ? 0 : 2;
  }
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!found) {
    console.error(`There is no command ${JSON.stringify(name)}.\n\n${usage()}`);
    return 2;
  }
  const command = await found.load();
  if (!help) return command.run(args);
  console.log(command.usage);
  return 0;
}

process.exitCode = await run(process.argv.slice(2));
