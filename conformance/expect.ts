/** How a check fails, and what it may expect of an answer. */
import { type Answer, header } from "./http.ts";
import { parseMediaType, parseMultipart, type Part } from "./media.ts";

/** The server does not do what the requirement says; the message is one sentence of what it does instead. */
export class Failure extends Error {}

/** The check cannot be made here: a foreign client is not installed. */
export class Skipped extends Error {}

/** Throws a Failure with `sentence` unless `condition` holds. */
export function expect(condition: boolean, sentence: string): asserts condition {
  if (!condition) throw new Failure(sentence);
}

/** Expects one of `statuses`, and names what was asked otherwise. */
export function expectStatus(answer: Answer, ...statuses: readonly number[]): Answer {
  expect(
    statuses.includes(answer.status),
    `${asked(answer)} answered ${answer.status} instead of ${statuses.join(" or ")}${reason(answer)}.`,
  );
  return answer;
}

/** Expects a 4xx. */
export function expectClientError(answer: Answer): Answer {
  expect(answer.status >= 400 && answer.status < 500, `${asked(answer)} answered ${answer.status} instead of a 4xx.`);
  return answer;
}

/** Expects the media type of the body; a multipart's own, not that of its parts. */
export function expectType(answer: Answer, type: string): Answer {
  const actual = parseMediaType(header(answer, "content-type")).type;
  expect(actual === type, `${asked(answer)} answered ${actual || "no media type"} instead of ${type}.`);
  return answer;
}

/** Expects two values to be the same when written as JSON, whatever the order of the members of objects. */
export function expectEqual(actual: unknown, expected: unknown, what: string): void {
  const [is, should] = [JSON.stringify(actual, sortedMembers), JSON.stringify(expected, sortedMembers)];
  expect(is === should, `${what} is ${shortened(is)} instead of ${shortened(should)}.`);
}

/** Expects the same bytes. */
export function expectBytes(actual: Buffer | undefined, expected: Buffer, what: string): void {
  expect(actual !== undefined, `${what} is missing.`);
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  expect(
    actual.equals(expected),
    `${what} has ${actual.length} bytes instead of ${expected.length}, or differs at ${at}.`,
  );
}

/** The parts of a multipart/related answer, each of `type` when given. */
export function expectParts(answer: Answer, type?: string): Part[] {
  const contentType = parseMediaType(header(answer, "content-type"));
  expectType(answer, "multipart/related");
  const { boundary = "" } = contentType.params;
  expect(boundary !== "", "The Content-Type names no boundary.");
  const parts = parseMultipart(answer.body, boundary);
  expect(parts.length > 0, "The multipart body holds no part.");
  for (const { mediaType } of parts) {
    expect(type === undefined || mediaType.type === type, `A part is ${mediaType.type} instead of ${type}.`);
  }
  return parts;
}

/** The one part of an answer, or the answer itself when it is a single part. */
export function soleBody(answer: Answer): Buffer {
  if (!header(answer, "content-type").startsWith("multipart/")) return answer.body;
  const [part, ...more] = expectParts(answer);
  expect(part !== undefined && more.length === 0, `The answer has ${more.length + 1} parts instead of one.`);
  return part.body;
}

function sortedMembers(_name: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function asked({ method, url }: Answer): string {
  const { pathname, search } = new URL(url);
  return `${method} ${shortened((pathname + decode(search)).replaceAll(/2\.25\.(\d{4})\d+/g, "2.25.$1…"))}`;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function reason({ body, headers }: Answer): string {
  if (!String(headers["content-type"]).includes("json")) return "";
  const detail = /"(?:detail|Message|Details)"\s*:\s*"((?:[^"\\]|\\.){1,160})/.exec(body.toString("utf8"))?.[1];
  return detail === undefined ? "" : ` (${detail.replaceAll(/\\(.)/g, "$1").replace(/\.$/, "")})`;
}

function shortened(text: string | undefined): string {
  if (text === undefined) return "absent";
  return text.length > 160 ? `${text.slice(0, 160)}…` : text;
}
