/** Status codes of responses by their kind (PS3.7 Annex C, PS3.4). */

/** Status codes that more than one service answers (PS3.7 Annex C, PS3.4 C.4). */
export const statuses = {
  success: 0x0000,
  pending: 0xff00,
  /** Matches or sub-operations go on, but optional keys were not supported (PS3.4 C.4.1.1.4). */
  pendingWithWarning: 0xff01,
  cancelled: 0xfe00,
  processingFailure: 0x0110,
  sopClassNotSupported: 0x0122,
  duplicateInvocation: 0x0210,
  unrecognizedOperation: 0x0211,
} as const;

/** Whether more responses to the same request follow. */
export function isPending(status: number): boolean {
  return status === statuses.pending || status === statuses.pendingWithWarning;
}
