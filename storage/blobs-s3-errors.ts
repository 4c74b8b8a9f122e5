/** What an object store or its connection says when it fails: as our errors, and whether to try again. */
import { setTimeout as sleep } from "node:timers/promises";
import { ArchiveError, type ErrorCode } from "../server/errors.ts";
import { noSuchBlob } from "./blobs.ts";

/** Waits (milliseconds) before the second, third ... try of a call that may be repeated. */
const waits = [50, 200, 800];

const broken = "The connection to the object store broke.";
const unreachable = "The object store cannot be reached.";
const certificate = "The certificate of the object store is not one that is trusted.";
const refusal = "The object store refuses the access key, the secret key, or what they are allowed to do.";
const full = "The object store is full.";

/** Error codes of S3 (S3 API Reference, "Error responses"), of MinIO (`XMinio`), and of the system's sockets. */
const faults: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  AccessDenied: ["storage-unavailable", refusal],
  InvalidAccessKeyId: ["storage-unavailable", refusal],
  SignatureDoesNotMatch: ["storage-unavailable", refusal],
  RequestTimeTooSkewed: ["storage-unavailable", "The clocks of this server and of the object store differ too much."],
  NoSuchBucket: ["storage-unavailable", "The bucket of the archive does not exist in the object store."],
  XMinioStorageFull: ["storage-full", full],
  QuotaExceeded: ["storage-full", full],
  XMinioAdminBucketQuotaExceeded: ["storage-full", full],
  ECONNREFUSED: ["storage-unavailable", "The object store refuses the connection."],
  ECONNRESET: ["storage-unavailable", broken],
  EPIPE: ["storage-unavailable", broken],
  EHOSTUNREACH: ["storage-unavailable", unreachable],
  ENETUNREACH: ["storage-unavailable", unreachable],
  CERT_HAS_EXPIRED: ["storage-unavailable", certificate],
  DEPTH_ZERO_SELF_SIGNED_CERT: ["storage-unavailable", certificate],
  SELF_SIGNED_CERT_IN_CHAIN: ["storage-unavailable", certificate],
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: ["storage-unavailable", certificate],
  ERR_TLS_CERT_ALTNAME_INVALID: ["storage-unavailable", certificate],
  ENOTFOUND: ["storage-unavailable", "The host of the object store has no address."],
  ETIMEDOUT: ["storage-unavailable", "The object store does not answer in time."],
};

const absentCodes = new Set(["NoSuchKey", "NotFound", "InvalidRange"]);

/** Failures that pass: of the connection, and of a store that is overloaded or starting. */
const passingCodes = new Set([
  "ECONNRESET",
  "ECONNREFUSED",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "SlowDown",
  "ServiceUnavailable",
  "InternalError",
  "RequestTimeout",
]);

/** The store's error as ours. An object that is absent, or shorter than a range, is `no-such-blob`. */
export function toStoreError(error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error;
  const code = codeOf(error);
  if (absentCodes.has(code)) return noSuchBlob(error);
  const [ours, sentence] = faults[code] ?? (["storage-unavailable", "The object store does not work."] as const);
  return new ArchiveError(ours, sentence, { cause: error });
}

/** The bucket is gone, in the words of the store. */
export function noSuchBucket(): Error {
  return Object.assign(new Error("The specified bucket does not exist"), { code: "NoSuchBucket" });
}

/** Whether the store says that the object (or the bucket) is not there. */
export function isAbsent(error: unknown): boolean {
  return absentCodes.has(codeOf(error));
}

/** Whether the store was silent for so long that nothing more should wait for it. */
export function isSilence(error: unknown): boolean {
  return codeOf(error instanceof ArchiveError ? error.cause : error) === "ETIMEDOUT";
}

/**
 * Runs a call that does the same when it is repeated, up to four times while the failure is one that passes; a store
 * that is silent is not waited for twice. Throws the last error as it is.
 */
export async function repeating<Result>(call: () => Promise<Result>): Promise<Result> {
  for (const wait of waits) {
    try {
      return await call();
    } catch (error) {
      if (!mayPass(error) || isSilence(error)) throw error;
      await sleep(wait * (0.5 + Math.random()));
    }
  }
  return call();
}

/** Whether the failure is one that passes: trying again has a meaning. */
export function mayPass(error: unknown): boolean {
  if (passingCodes.has(codeOf(error))) return true;
  // The client of `minio` gives no code for these statuses (408, 429, 5xx), only this sentence.
  return error instanceof Error && /Retryable HTTP status/.test(error.message);
}

/** The code, also of what is wrapped: a name with several addresses fails with an AggregateError. */
export function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  if ("code" in error && typeof error.code === "string") return error.code;
  return error instanceof AggregateError ? codeOf(error.errors[0]) : "";
}

/** Runs a call; what it throws becomes an ArchiveError. */
export async function translating<Result>(call: () => Promise<Result>): Promise<Result> {
  try {
    return await call();
  } catch (error) {
    throw toStoreError(error);
  }
}
