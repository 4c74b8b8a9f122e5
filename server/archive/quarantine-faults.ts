/** Which faults of a file bring it into quarantine, and how much is kept there. */
import type { QuarantineLimits } from "../../storage/catalog-quarantine.ts";
import type { ArchiveError, ErrorCode } from "../errors.ts";

/** Files at most: what limits them is counted anew whenever one comes. */
const mostFiles = 10_000;

/**
 * Faults of the content of a file (Part10Scan, `identify`). `internal` is a defect of the scan: a newer version may read
 * what this one cannot.
 */
const ofContent: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  "not-dicom",
  "malformed-dicom",
  "truncated-dicom",
  "too-deep",
  "element-too-long",
  "header-too-large",
  "unknown-transfer-syntax",
  "missing-identifier",
  "internal",
]);

/** Codes for which files are in quarantine. */
export const quarantineReasons: readonly string[] = [...ofContent];

/** What quarantine keeps. */
export function quarantineLimits({ megabytes, days }: { megabytes: number; days: number }): QuarantineLimits {
  return { bytes: megabytes * 2 ** 20, files: mostFiles, days };
}

/** Whether it is a fault of the content of a file. */
export function isOfContent({ code }: ArchiveError): boolean {
  return ofContent.has(code);
}

/** Whether a file with this fault, of which so many bytes have come, is kept; one without any is not. */
export function isQuarantined(fault: ArchiveError, byteLength: number, { bytes }: QuarantineLimits): boolean {
  return isOfContent(fault) && byteLength > 0 && byteLength <= bytes;
}
