/** User Identity (PS3.7 D.3.3.7): names and passcodes checked against a file of users. */
import { createHmac, randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { promisify } from "node:util";
import type { UserIdentity } from "./pdu.ts";

/** What comes of an identity: why it is refused, or who it is and what is answered. */
export type CheckedUser =
  | { readonly why: string; readonly user?: undefined; readonly response?: undefined }
  | { readonly why?: undefined; readonly user?: string | undefined; readonly response?: Buffer | undefined };

/** Checks the identity of a request; undefined when it has none. */
export type CheckUser = (identity: UserIdentity | undefined) => Promise<CheckedUser>;

/** User-Identity-Type (PS3.7 Table D.3-14). */
const identityTypes = { username: 1, usernameAndPasscode: 2 } as const;

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number }, Buffer>(scrypt);

/** Of new lines: some 16 MB and 50 ms for a passcode. */
const costs = { N: 16_384, r: 8, p: 1 } as const;
const hashLength = 32;

/** A passcode that is kept; null: the name alone is enough. */
type KeptPasscode = { readonly text: string; readonly salt: Buffer; readonly hash: Buffer };

/** The line of a user for the file: NAME:scrypt:N:r:p:SALT:HASH. */
export async function userLine(name: string, passcode: string): Promise<string> {
  const salt = randomBytes(16);
  const hash = await derive(passcode, salt, hashLength, costs);
  return [name, "scrypt", costs.N, costs.r, costs.p, salt.toString("base64"), hash.toString("base64")].join(":");
}

/** Whether `name` can stand in the file. */
export function isUserName(name: string): boolean {
  return /^[^:#\s][^:\r\n]*$/.test(name) && name.trim() === name;
}

/**
 * The users of a file: a line each, NAME alone or as `userLine` makes it; lines that begin with # say nothing.
 * Throws Error that names the line that is neither.
 */
export function parseUsers(text: string): ReadonlyMap<string, KeptPasscode | null> {
  const users = new Map<string, KeptPasscode | null>();
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === "" || line.startsWith("#")) continue;
    const [name = "", ...rest] = line.trim().split(":");
    const kept = rest.length === 0 ? null : parsePasscode(rest);
    if (!isUserName(name) || kept === undefined) throw new Error(`line ${index + 1} is not that of a user`);
    users.set(name, kept);
  }
  return users;
}

function parsePasscode([scheme, N, r, p, salt = "", hash = "", ...more]: readonly string[]): KeptPasscode | undefined {
  const text = [N, r, p, salt, hash].join(":");
  const isWhole =
    scheme === "scrypt" && more.length === 0 && /^\d{2,7}:\d{1,2}:\d{1,2}:[\w+/]+=*:[\w+/]{43}=$/.test(text);
  if (!isWhole || Number(N) !== costs.N || Number(r) !== costs.r || Number(p) !== costs.p) return undefined;
  return { text, salt: Buffer.from(salt, "base64"), hash: Buffer.from(hash, "base64") };
}

export interface UserIdentityOptions {
  /** The file's text; asked each time, so that a change counts at once. */
  readonly readUsers: () => Promise<string>;
  /** Whether an association without an identity that can be checked is refused. */
  readonly isRequired: boolean;
}

/** Makes the check. It throws what `readUsers` and `parseUsers` throw. */
export function createUserCheck({ readUsers, isRequired }: UserIdentityOptions): CheckUser {
  const verify = createVerification();
  return async (identity) => {
    if (!identity) return isRequired ? { why: "it names no user" } : {};
    const { type, primaryField, secondaryField, positiveResponseRequested } = identity;
    if (type !== identityTypes.username && type !== identityTypes.usernameAndPasscode) {
      return isRequired ? { why: `its user identity is of type ${type}, which is not supported` } : {};
    }
    const user = primaryField.toString("utf8");
    const kept = parseUsers(await readUsers()).get(user);
    const passcode = type === identityTypes.usernameAndPasscode ? secondaryField.toString("utf8") : undefined;
    const isRight = kept === null ? true : await verify(kept, passcode);
    if (!isRight) return { why: "its user is not known, or the passcode is wrong" };
    return { user, response: positiveResponseRequested ? Buffer.alloc(0) : undefined };
  };
}

/**
 * Compares passcodes, one at a time, since each takes its memory; what was right once is known again for as long as the
 * line stands. A user that is not there takes as long as one that is.
 */
function createVerification() {
  const key = randomBytes(32);
  const known = new Map<string, Buffer>();
  const nobody: KeptPasscode = { text: "", salt: randomBytes(16), hash: randomBytes(hashLength) };
  let last: Promise<unknown> = Promise.resolve();
  return async (kept: KeptPasscode | undefined, passcode: string | undefined): Promise<boolean> => {
    if (passcode === undefined) return false;
    const { text, salt, hash } = kept ?? nobody;
    const digest = createHmac("sha256", key).update(passcode).digest();
    const before = known.get(text);
    if (before && timingSafeEqual(before, digest)) return true;
    const derived = last.then(() => derive(passcode, salt, hashLength, costs));
    last = derived.catch(() => undefined);
    const isRight = timingSafeEqual(await derived, hash) && kept !== undefined;
    if (isRight) known.set(text, digest);
    return isRight;
  };
}
