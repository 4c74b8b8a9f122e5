/** Requests to the interface of Noctis itself, and what its checks share. */
import { expect, expectStatus } from "./expect.ts";
import type { Answer } from "./http.ts";
import type { Instance } from "./instances.ts";
import type { Session } from "./session.ts";
import { transferSyntax } from "./write-dicom.ts";

/** A request to the server's own interface. */
export function api(session: Session, path: string, method = "GET", body?: unknown): Promise<Answer> {
  return session.requestUrl(session.target.apiUrl + path, {
    method,
    headers: { Accept: "application/json", ...(body !== undefined && { "Content-Type": "application/json" }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

/** A JSON object. */
export type Json = Readonly<Record<string, unknown>>;

/** The object of a JSON answer. */
export function jsonOf(answer: Answer): Json {
  const parsed: unknown = JSON.parse(answer.body.toString("utf8"));
  expect(typeof parsed === "object" && parsed !== null, "The answer is not JSON.");
  return Object.fromEntries(Object.entries(parsed));
}

/** Members of an array of objects. */
export function listOf(value: unknown): Json[] {
  expect(Array.isArray(value), "The answer has no list.");
  return value.map((one: unknown) => Object.fromEntries(Object.entries(Object(one))));
}

/** Two instances of one series, stored. */
export async function pair(session: Session, name: string): Promise<readonly [Instance, Instance]> {
  const [first, second] = ["1", "2"].map((one) =>
    session.run.instance(name, "s", one, session.run.scratchAttributes(name), transferSyntax.explicitLittle),
  );
  if (!first || !second) throw new TypeError("two were written");
  await session.stored(first);
  await session.stored(second);
  return [first, second];
}

/** DELETE, which succeeds. */
export async function remove(session: Session, path: string): Promise<Answer> {
  return expectStatus(await session.request(path, { method: "DELETE" }), 204, 200);
}

/** Polls until `probe` gives something, for at most some seconds. */
export async function eventually<Found>(
  seconds: number,
  what: string,
  probe: () => Promise<Found | undefined>,
): Promise<Found> {
  for (let left = seconds * 10; left > 0; left -= 1) {
    const found = await probe();
    if (found !== undefined) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const found = await probe();
  expect(found !== undefined, `${what} did not come within ${seconds} s.`);
  return found;
}
