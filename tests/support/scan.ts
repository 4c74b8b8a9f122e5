/** Scans files for tests, in chunks of any kind, and repeatable random numbers to make both. */
import assert from "node:assert/strict";
import { defaultLimits, type ScanLimits } from "../../server/dicom/limits.ts";
import { Part10Scan, type ScannedFile } from "../../server/dicom/part10.ts";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";

/** An integer from 0 up to, not including, `limit`. */
export type Random = (limit: number) => number;

/** A generator of repeatable numbers (xorshift32). */
export function repeatable(seed: number): Random {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

/** One pass over `bytes` in chunks of the lengths that `chunkLength` gives. */
export async function scanOnce(
  bytes: Buffer,
  chunkLength: () => number = () => bytes.length || 1,
  limits: ScanLimits = defaultLimits,
): Promise<ScannedFile> {
  const scan = new Part10Scan(limits);
  for (let at = 0; at < bytes.length;) {
    const end = at + chunkLength();
    await scan.push(bytes.subarray(at, end));
    at = end;
  }
  return scan.end();
}

/** What becomes of `bytes`: the file, or the code and message of the fault. */
export async function outcomeOf(
  bytes: Buffer,
  chunkLength?: () => number,
  limits?: ScanLimits,
): Promise<ScannedFile | { code: ErrorCode; message: string }> {
  try {
    return await scanOnce(bytes, chunkLength, limits);
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    return { code: error.code, message: error.message };
  }
}

/** Scans `bytes` whole and one at a time; both must tell the same. */
export async function scanned(bytes: Buffer, limits?: ScanLimits): Promise<ScannedFile> {
  const whole = await outcomeOf(bytes, undefined, limits);
  assert.deepEqual(await outcomeOf(bytes, () => 1, limits), whole, "one byte at a time");
  if ("code" in whole) throw new ArchiveError(whole.code, whole.message);
  return whole;
}

/** The code of the fault that a scan of `bytes` ends with, whatever the chunks. */
export async function faultOf(bytes: Buffer, limits?: ScanLimits): Promise<ErrorCode | undefined> {
  try {
    await scanned(bytes, limits);
    return undefined;
  } catch (error) {
    if (error instanceof ArchiveError) return error.code;
    throw error;
  }
}
