/** `noctis find`: queries a peer. */
import { entryOfTag } from "../dicom/dictionary.ts";
import { type JsonValue, toJsonText } from "../dicom/json.ts";
import { find } from "../dimse/scu-find.ts";
import type { Command } from "./command.ts";
import { type FindArguments, parseFindArguments } from "./find-arguments.ts";
import { sentence } from "./import-arguments.ts";
import { count } from "./import-report.ts";
import { peerName, peerUsage, withPeer } from "./peer-word.ts";

const usage = `Usage: noctis find PEER [KEY=VALUE...] [options]

Queries a peer by C-FIND: studies, or, with --study, the series of a study, or, with --series, its instances. Needs no server.
${peerUsage}
KEY is a keyword such as PatientName, or a tag; VALUE matches as the peer has it: * and ? are wildcards, 20240101- is a range.

  noctis find PACS2 PatientName='DOE*' StudyDate=20240101-
  noctis find PACS2 --study 1.2.3
  noctis find PACS2 --study 1.2.3 --series 1.2.3.4

Options:
  --study UID     only of this study
  --series UID    only of this series
  --patient ID    only of this patient
  --level LEVEL   patient, study, series or instance
  --model MODEL   information model: study, or patient
  --relational    keys of the levels above may be missing; the peer has to agree
  --return KEYS   ask for these attributes, too; joined by comma
  --limit N       matches at most (1000), then the query is cancelled; 0 for all
  --json          print each match as DICOM JSON, one a line
  --help          show this text

Exit code: 0 when the peer answered success, 1 when not, 2 when the arguments are not understood.`;

/** The subcommand. */
export const findCommand: Command = {
  name: "find",
  summary: "query a peer",
  usage,
  async run(args) {
    let parsed: FindArguments;
    try {
      parsed = parseFindArguments(args);
    } catch (error) {
      console.error(`${sentence(error)}\n\n${usage}`);
      return 2;
    }
    const { model, level, keys, isRelational, columns, limit, json } = parsed;
    return withPeer(parsed.peer, async ({ peer, address, requestor }, _config, _log, signal) => {
      const table: string[][] = [columns.map((tag) => entryOfTag(Number.parseInt(tag, 16))?.keyword ?? tag)];
      let matches = 0;
      let isCut = false;
      try {
        for await (const match of find(requestor, address, { model, level, keys, isRelational, signal })) {
          isCut = matches === limit;
          if (isCut) break;
          matches += 1;
          if (json) console.log(toJsonText(match));
          else table.push(columns.map((tag) => textOf(match[tag]?.Value)));
        }
      } finally {
        // What came before a failure is shown, too.
        if (matches > 0 && !json) console.log(aligned(table).join("\n"));
      }
      if (isCut) console.error(`${peerName(peer)} has more than ${limit}: the query was cancelled (--limit).`);
      else if (!json) console.log(`${count(matches, "match").replace(/matchs$/, "matches")}.`);
      return 0;
    });
  },
};

function textOf(values: readonly JsonValue[] = []): string {
  const texts = values.map((value) => {
    if (typeof value === "string" || typeof value === "number") return `${value}`;
    const groups = new Map<string, unknown>(Object.entries(value ?? {}));
    return ["Alphabetic", "Ideographic", "Phonetic"].map((name) => wordOf(groups.get(name))).join("=");
  });
  // A terminal would obey control characters.
  return texts
    .join("\\")
    .replace(/=+$/, "")
    .replaceAll(/\p{Cc}/gu, " ");
}

function wordOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function aligned(table: readonly (readonly string[])[]): string[] {
  const widths = table[0]?.map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0))) ?? [];
  return table.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
