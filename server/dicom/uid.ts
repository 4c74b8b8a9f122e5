/** Uid: the type that an untrusted UID must become before it touches a key, a path or a query. */
import { randomBytes } from "node:crypto";
import { ArchiveError } from "../errors.ts";

declare const uidBrand: unique symbol;

/** A checked UID: digits and dots, so that it is harmless in a key, a path and a query. */
export type Uid = string & { readonly [uidBrand]: true };

/**
 * Senders break the rules of PS3.5 9.1: components begin with 0, and some UIDs pass 64 characters. Such an instance is
 * stored, kept apart from every other, and its sender is told.
 */
const pattern = /^[0-9]+(\.[0-9]+)*$/;
const longest = 128;

/** Whether `text` can be taken as a UID. */
export function isUid(text: string): text is Uid {
  return text.length <= longest && pattern.test(text);
}

/** What PS3.5 9.1 has against `uid`, in words; undefined when nothing. */
export function uidFault(uid: Uid): string | undefined {
  if (uid.length > 64) return "is longer than 64 characters";
  return /(^|\.)0[0-9]/.test(uid) ? "has a component that begins with 0" : undefined;
}

/** What is said of a text that is no UID. */
export const uidRule = `is not a UID of digits and dots with at most ${longest} characters`;

/** `text` as a Uid. @throws ArchiveError `invalid-uid`, naming `what` */
export function parseUid(text: string, what = "UID"): Uid {
  if (isUid(text)) return text;
  throw new ArchiveError("invalid-uid", `${what} ${uidRule}.`);
}

/** A new UID below 2.25 made from 128 random bits (PS3.5 B.2). */
export function newUid(): Uid {
  return parseUid(`2.25.${BigInt(`0x${randomBytes(16).toString("hex")}`)}`);
}
