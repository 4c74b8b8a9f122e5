/** The arguments of `noctis send` and `noctis fetch`, checked. */
import { parseArgs } from "node:util";
import { parseUid, type Uid } from "../dicom/uid.ts";
import { parsePeerWord } from "./peer-word.ts";

export interface SendArguments {
  readonly peer: string;
  /** Files and folders; none when instances of the archive are sent. */
  readonly paths: readonly string[];
  readonly studies: readonly Uid[];
  readonly series: Uid | undefined;
  readonly json: boolean;
}

export interface FetchArguments {
  readonly peer: string;
  readonly studies: readonly Uid[];
  readonly series: Uid | undefined;
  readonly instance: Uid | undefined;
  readonly by: "get" | "move" | undefined;
  readonly json: boolean;
}

/** @throws Error with a sentence for the user when they are not understood */
export function parseSendArguments(args: readonly string[]): SendArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      study: { type: "string", multiple: true, default: [] },
      series: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [peer, ...paths] = positionals;
  const name = parsePeerWord(peer);
  const { studies, series } = resources(values);
  if (paths.length > 0 === studies.length > 0) throw new Error("Say which files or folders to send, or --study UID.");
  return { peer: name, paths, studies, series, json: values.json };
}

/** @throws Error with a sentence for the user when they are not understood */
export function parseFetchArguments(args: readonly string[]): FetchArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      study: { type: "string", multiple: true, default: [] },
      series: { type: "string" },
      instance: { type: "string" },
      by: { type: "string" },
      json: { type: "boolean", default: false },
    },
  });
  const [peer, ...others] = positionals;
  const name = parsePeerWord(peer);
  if (others.length > 0) throw new Error(`noctis fetch does not know ${JSON.stringify(others[0])}.`);
  const { studies, series } = resources(values);
  if (studies.length === 0) throw new Error("Say what to fetch: --study UID.");
  if (values.instance !== undefined && series === undefined) throw new Error("--instance goes with --series.");
  const { by } = values;
  if (by !== undefined && by !== "get" && by !== "move") throw new Error("--by must be get or move.");
  const instance = values.instance === undefined ? undefined : parseUid(values.instance, "--instance");
  return { peer: name, studies, series, instance, by, json: values.json };
}

function resources(values: { readonly study: readonly string[]; readonly series?: string | undefined }) {
  const studies = values.study.flatMap((list) => list.split(",")).map((uid) => parseUid(uid.trim(), "--study"));
  if (values.series !== undefined && studies.length !== 1) throw new Error("--series goes with one --study.");
  return { studies, series: values.series === undefined ? undefined : parseUid(values.series, "--series") };
}
