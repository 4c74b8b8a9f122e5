/** The matrix: one line a requirement, with its section, our status, and the check that shows it. */
import { readFile, writeFile } from "node:fs/promises";
import path from "node:path";

/** Who asks for it: the standard of every server, the standard of those that choose it, or Noctis of itself. */
export const levels = ["required", "optional", "noctis"] as const;
export const statuses = ["supported", "partial", "not-supported"] as const;
export const results = ["pass", "fail", "skip"] as const;

export type Level = (typeof levels)[number];
export type Status = (typeof statuses)[number];
export type Result = (typeof results)[number];

/** One line of matrix.json. */
export interface Requirement {
  /** Stable. */
  readonly id: string;
  /** Section of the standard, or the resource of Noctis. */
  readonly section: string;
  readonly level: Level;
  /** One sentence. */
  readonly requirement: string;
  /** Of Noctis. */
  readonly status: Status;
  /** Name of a check of checks/. */
  readonly check: string;
}

/** Expected result of each line by id. */
export type Expected = Readonly<Record<string, Result>>;

const matrixFile = path.join(import.meta.dirname, "matrix.json");
const expectedFile = path.join(import.meta.dirname, "expected.json");

/** The lines in the order of the file. Throws TypeError when one is malformed. */
export async function readMatrix(): Promise<Requirement[]> {
  const lines: unknown = JSON.parse(await readFile(matrixFile, "utf8"));
  if (!Array.isArray(lines)) throw new TypeError("matrix.json is not an array");
  return lines.map(toRequirement);
}

/** What Noctis is expected to do, or the contents of another such file. */
export async function readExpected(file: string = expectedFile): Promise<Expected> {
  const entries: unknown = JSON.parse(await readFile(file, "utf8"));
  if (typeof entries !== "object" || entries === null) throw new TypeError(`${file} is not an object`);
  return Object.fromEntries(Object.entries(entries).map(([id, result]) => [id, oneOf(results, result, id)]));
}

/** Replaces expected.json, the entries in the order of the matrix. */
export async function writeExpected(expected: Expected): Promise<void> {
  await writeFile(expectedFile, `${JSON.stringify(expected, null, 2)}\n`);
}

/** The lines with the status that their results show: a line that passes is supported; one that fails may be partial. */
export function withStatus(lines: readonly Requirement[], expected: Expected): Requirement[] {
  return lines.map((line) => {
    const result = expected[line.id];
    if (result === "pass") return { ...line, status: "supported" };
    return result === "fail" && line.status === "supported" ? { ...line, status: "not-supported" } : line;
  });
}

/** Replaces matrix.json, one line a requirement. */
export async function writeMatrix(lines: readonly Requirement[]): Promise<void> {
  await writeFile(matrixFile, `[\n${lines.map((line) => `  ${JSON.stringify(line)}`).join(",\n")}\n]\n`);
}

function toRequirement(line: unknown): Requirement {
  if (typeof line !== "object" || line === null) throw new TypeError("a line of matrix.json is not an object");
  const fields = new Map(Object.entries(line));
  const text = (name: string) => {
    const value: unknown = fields.get(name);
    if (typeof value === "string" && value !== "") return value;
    throw new TypeError(`${String(fields.get("id"))}: ${name} is missing in matrix.json`);
  };
  return {
    id: text("id"),
    section: text("section"),
    level: oneOf(levels, text("level"), text("id")),
    requirement: text("requirement"),
    status: oneOf(statuses, text("status"), text("id")),
    check: text("check"),
  };
}

function oneOf<T extends string>(allowed: readonly T[], value: unknown, where: string): T {
  const found = allowed.find((one) => one === value);
  if (found === undefined) throw new TypeError(`${where}: ${String(value)} is none of ${allowed.join(", ")}`);
  return found;
}
