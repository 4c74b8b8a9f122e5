/** Counts the sub-operations of a C-MOVE or C-GET, and says so in its responses (PS3.7 9.1.3, 9.1.4, PS3.4 C.4.2, C.4.3). */
import type { DicomJson } from "../dicom/json.ts";
import type { ResponseFields } from "./association.ts";
import type { SendOutcome } from "./send-instances.ts";
import { statusKind, statusWords } from "./status-words.ts";
import { statuses } from "./status.ts";

/** Statuses of C-MOVE and C-GET (PS3.4 C.4.2.1.5, C.4.3.1.4). */
export const retrieveStatuses = {
  /** Out of resources: unable to calculate number of matches. */
  cannotCount: 0xa701,
  /** Out of resources: unable to perform sub-operations. */
  cannotPerform: 0xa702,
  /** One or more failures or warnings. */
  incomplete: 0xb000,
} as const;

/** Counts are of 16 bits. */
const mostCounted = 0xffff;

const failedSopInstanceUidList = "00080058";

/** What a status of a C-STORE response says of the instance (PS3.4 B.2.3); undefined is no response. */
export function resultOf(status: number | undefined): "completed" | "warning" | "failed" {
  if (status === undefined) return "failed";
  const kind = statusKind(status);
  if (kind === "success") return "completed";
  return kind === "warning" ? "warning" : "failed";
}

/** The sub-operations of one request. */
export class SubOperationCounts {
  readonly #total: number;
  readonly #counts = { completed: 0, failed: 0, warning: 0 };
  readonly #failedUids: string[] = [];
  #comment: string | undefined;

  /** @param total as many as are to be done */
  constructor(total: number) {
    this.#total = total;
  }

  /** One more has ended. */
  add(outcome: SendOutcome): void {
    const result = resultOf(outcome.status);
    this.#counts[result] += 1;
    if (result !== "failed") return;
    this.#failedUids.push(outcome.sopInstanceUid);
    this.#comment ??= commentOf(outcome);
  }

  /** How many ended how. */
  get counts(): Readonly<Record<"completed" | "failed" | "warning", number>> {
    return this.#counts;
  }

  /** The response while they go on. */
  pending(): ResponseFields {
    return { status: statuses.pending, numberOfRemainingSuboperations: this.#remaining(), ...this.#numbers() };
  }

  /** The last response, and its identifier: the instances that failed, when some did. */
  final(isCancelled: boolean): { readonly fields: ResponseFields; readonly identifier: DicomJson | undefined } {
    const isEarly = isCancelled && this.#remaining() > 0;
    const remaining = isEarly ? { numberOfRemainingSuboperations: this.#remaining() } : {};
    const status = isEarly ? statuses.cancelled : this.#status();
    const isFailed = this.#failedUids.length > 0;
    return {
      fields: { status, errorComment: this.#comment, ...remaining, ...this.#numbers() },
      identifier: isFailed ? { [failedSopInstanceUidList]: { vr: "UI", Value: this.#failedUids } } : undefined,
    };
  }

  #status(): number {
    const { completed, failed, warning } = this.#counts;
    if (failed === 0 && warning === 0) return statuses.success;
    return completed + warning === 0 ? retrieveStatuses.cannotPerform : retrieveStatuses.incomplete;
  }

  #remaining(): number {
    const { completed, failed, warning } = this.#counts;
    return Math.min(mostCounted, Math.max(0, this.#total - completed - failed - warning));
  }

  #numbers(): Omit<ResponseFields, "status"> {
    const { completed, failed, warning } = this.#counts;
    return {
      numberOfCompletedSuboperations: Math.min(mostCounted, completed),
      numberOfFailedSuboperations: Math.min(mostCounted, failed),
      numberOfWarningSuboperations: Math.min(mostCounted, warning),
    };
  }
}

function commentOf({ status, comment }: SendOutcome): string | undefined {
  return status === undefined ? comment : statusWords("C-STORE", status, comment);
}
