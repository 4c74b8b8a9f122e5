/** Uid: the type that an untrusted UID must become before it touches a key, a path or a query. */
import { randomBytes } from "node:crypto";
import { ArchiveError } from "../errors.ts";

declare const uidBrand: unique symbol;

/** A checked UID (PS3.5 9.1): digits and dots, 1 to 64 characters. */
export type Uid = string & { readonly [uidBrand]: true };

/**
 * Components may begin with 0, which PS3.5 9.1 forbids and scanners send: such an instance is stored and kept apart
 * from the one without the 0.
 */
const pattern = /^[0-9]+(\.[0-9]+)*$/;

/** Whether `text` is a UID of at most 64 characters (PS3.5 9.1; leading zeros are let pass). */
export function isUid(text: string): text is Uid {
  return text.length <= 64 && pattern.test(text);
}

/** `text` as a Uid. @throws ArchiveError `invalid-uid`, naming `what`. */
export function parseUid(text: string, what = "UID"): Uid {
  if (isUid(text)) return text;
  throw new ArchiveError("invalid-uid", `${what} is not a UID of digits and dots with at most 64 characters.`);
}

/** A new UID below 2.25 made from 128 random bits (PS3.5 B.2). */
export function newUid(): Uid {
  return parseUid(`2.25.${BigInt(`0x${randomBytes(16).toString("hex")}`)}`);
}
