/** ArchiveError and THE table of errors: every status that a door may answer stands here and nowhere else. */

interface ErrorAnswer {
  /** HTTP status code of the problem document (RFC 9457). */
  readonly httpStatus: number;
  /** DIMSE status (PS3.7 Annex C, PS3.4 B.2.3). */
  readonly dimseStatus: number;
  /** Failure Reason (0008,1197) of the Store Instances Response (PS3.18 Table I.2-1). */
  readonly failureReason: number;
  readonly title: string;
}

const cannotUnderstand = { httpStatus: 409, dimseStatus: 0xc000, failureReason: 0xc000 } as const;
const notFound = { httpStatus: 404, dimseStatus: 0x0112, failureReason: 0x0112 } as const;
const badRequest = { httpStatus: 400, dimseStatus: 0x0106, failureReason: 0x0106 } as const;
const processing = { dimseStatus: 0x0110, failureReason: 0x0110 } as const;
const outOfResources = { dimseStatus: 0xa700, failureReason: 0xa700 } as const;

/** The table: stable code -> HTTP status, DIMSE status, DICOM Failure Reason. */
export const errorTable = {
  "invalid-uid": { ...badRequest, title: "Not a UID" },
  "invalid-request": { ...badRequest, title: "The request is malformed" },
  "invalid-query": { ...badRequest, title: "The query is malformed" },
  "invalid-multipart": { ...badRequest, title: "The multipart body is malformed" },
  "body-incomplete": { ...badRequest, title: "The body ended before it was complete" },
  "body-too-large": { ...badRequest, httpStatus: 413, title: "The body is too large" },
  "not-acceptable": { ...processing, httpStatus: 406, title: "No acceptable representation" },
  "cannot-render": { ...processing, httpStatus: 406, title: "It cannot be rendered" },
  "method-not-allowed": { ...processing, httpStatus: 405, title: "The method is not allowed here" },
  "request-timeout": { ...processing, httpStatus: 408, title: "The request took too long" },
  "content-too-large": { ...processing, httpStatus: 413, title: "The content is too large" },
  "expectation-failed": { ...processing, httpStatus: 417, title: "The expectation cannot be met" },
  "headers-too-long": { ...processing, httpStatus: 431, title: "The headers are too long" },
  "unsupported-media-type": { ...processing, httpStatus: 415, title: "Unsupported media type" },
  "precondition-failed": { ...processing, httpStatus: 412, title: "A precondition of the request is not met" },
  "range-not-satisfiable": { ...processing, httpStatus: 416, title: "No byte of the range is there" },
  "foreign-page": { ...processing, httpStatus: 403, title: "A page of another origin may not do this" },
  "no-such-resource": { ...notFound, title: "No such resource" },
  "duplicate-transaction": {
    httpStatus: 409,
    dimseStatus: 0x0131,
    failureReason: 0x0131,
    title: "The Transaction UID is in use already",
  },
  "no-such-transaction": { ...notFound, title: "No such transaction" },
  "forgotten-transaction": {
    ...processing,
    httpStatus: 410,
    title: "The outcome of the transaction is no longer kept",
  },
  "no-such-study": { ...notFound, title: "No such study" },
  "no-such-series": { ...notFound, title: "No such series" },
  "no-such-instance": { ...notFound, title: "No such instance" },
  "no-such-frame": { ...notFound, title: "No such frame" },
  "no-such-bulk-data": { ...notFound, title: "No such bulk data" },
  "no-such-query-tag": { ...notFound, title: "No such query tag" },
  "query-tag-exists": { ...processing, httpStatus: 409, title: "The attribute is searchable already" },
  "too-many-query-tags": { ...processing, httpStatus: 409, title: "Too many query tags" },
  "changes-gone": { ...processing, httpStatus: 410, title: "Changes that are no longer kept" },
  "no-such-webhook": { ...notFound, title: "No such webhook" },
  "too-many-webhooks": { ...processing, httpStatus: 409, title: "Too many webhooks" },
  "other-patient": { ...processing, httpStatus: 409, title: "The study is another patient's now" },
  "no-such-conflict": { ...notFound, title: "No such conflict" },
  "no-such-quarantined": { ...notFound, title: "No such file in quarantine" },
  "no-such-peer": { ...notFound, title: "No such peer" },
  "peer-exists": { ...processing, httpStatus: 409, title: "Another peer has that name or AE title" },
  "peer-fixed": { ...processing, httpStatus: 409, title: "The settings say what this peer is" },
  "too-many-peers": { ...processing, httpStatus: 409, title: "Too many peers" },
  "wrong-kind-of-peer": { ...processing, httpStatus: 409, title: "The peer is of another kind" },
  "no-such-forwarding-rule": { ...notFound, title: "No such rule of forwarding" },
  "forwarding-rule-exists": { ...processing, httpStatus: 409, title: "Another rule of forwarding has that name" },
  "too-many-forwarding-rules": { ...processing, httpStatus: 409, title: "Too many rules of forwarding" },
  "no-such-job": { ...notFound, title: "No such job" },
  "job-has-ended": { ...processing, httpStatus: 409, title: "The job has ended already" },
  "job-not-ended": { ...processing, httpStatus: 409, title: "The job has not ended so" },
  "peer-unreachable": { ...processing, httpStatus: 502, title: "The peer cannot be reached" },
  "peer-silent": { ...processing, httpStatus: 504, title: "The peer does not answer" },
  "association-rejected": { ...processing, httpStatus: 502, title: "The peer rejects the association" },
  "association-aborted": { ...processing, httpStatus: 502, title: "The association ended before its work was done" },
  "peer-failed": { ...processing, httpStatus: 502, title: "The peer could not do what it was asked" },
  "context-not-accepted": { ...processing, httpStatus: 502, title: "The peer does not support what is asked of it" },
  "sop-class-not-supported": {
    ...processing,
    httpStatus: 501,
    dimseStatus: 0x0122,
    title: "The SOP class is not supported",
  },
  "unrecognized-operation": {
    ...processing,
    httpStatus: 501,
    dimseStatus: 0x0211,
    title: "The operation is not supported",
  },
  "identifier-mismatch": {
    httpStatus: 400,
    dimseStatus: 0xa900,
    failureReason: 0xa900,
    title: "The identifier does not fit the SOP class",
  },
  "query-failed": {
    httpStatus: 500,
    dimseStatus: 0xc001,
    failureReason: 0xc001,
    title: "The query could not be worked out",
  },
  "move-destination-unknown": {
    httpStatus: 404,
    dimseStatus: 0xa801,
    failureReason: 0xa801,
    title: "The move destination is not known",
  },
  "no-such-action": { ...processing, httpStatus: 501, dimseStatus: 0x0123, title: "The action is not supported" },
  "no-such-sop-instance": { ...notFound, title: "No such SOP instance" },
  "invalid-argument": { ...badRequest, dimseStatus: 0x0115, title: "The information of the request is malformed" },
  "no-such-removal": { ...notFound, title: "No such removal" },
  held: { ...processing, httpStatus: 409, title: "A hold protects the study" },
  "no-such-hold": { ...notFound, title: "No such hold" },
  "no-such-retention-rule": { ...notFound, title: "No such rule of retention" },
  "no-such-retention-run": { ...notFound, title: "No such run of retention" },
  "retention-rule-exists": { ...processing, httpStatus: 409, title: "Another rule of retention has that name" },
  "too-many-retention-rules": { ...processing, httpStatus: 409, title: "Too many rules of retention" },
  "dry-run-needed": { ...processing, httpStatus: 409, title: "The rule must be run dry first" },
  "space-unknown": { ...processing, httpStatus: 409, title: "The free space is not known" },
  "too-many-holds": { ...processing, httpStatus: 409, title: "Too many holds" },
  "no-such-snapshot": { ...notFound, title: "No such snapshot" },
  "which-snapshot": { ...processing, httpStatus: 409, title: "It is not said which snapshot" },
  "backup-under-way": { ...processing, httpStatus: 409, title: "Another backup is under way" },
  "backup-damaged": { ...processing, httpStatus: 500, title: "The backup is damaged" },
  "backup-newer": { ...processing, httpStatus: 409, title: "The backup is of a newer version" },
  "backup-of-other": { ...processing, httpStatus: 409, title: "The backup is another archive's" },
  "archive-not-empty": { ...processing, httpStatus: 409, title: "The archive is not empty" },
  "no-such-blob": { ...processing, httpStatus: 500, title: "The stored bytes of an instance are missing" },
  "no-frame-table": { ...processing, httpStatus: 406, title: "The frames of this instance cannot be told apart" },
  "malformed-metadata": { ...cannotUnderstand, title: "The metadata of the instance are malformed" },
  "malformed-media": { ...cannotUnderstand, title: "The media are not what their media type says" },
  "metadata-required": { ...cannotUnderstand, title: "The media cannot be stored without metadata" },
  "missing-bulk-data": { ...cannotUnderstand, title: "Bulk data that the metadata name are not in the body" },
  "not-dicom": { ...cannotUnderstand, title: "Not a DICOM file" },
  "malformed-dicom": { ...cannotUnderstand, title: "The DICOM file is malformed" },
  "truncated-dicom": { ...cannotUnderstand, title: "The DICOM file ends too early" },
  "too-deep": { ...cannotUnderstand, title: "Sequences are nested too deeply" },
  "element-too-long": { ...cannotUnderstand, title: "An element is too long" },
  "header-too-large": { ...cannotUnderstand, title: "The header is too large" },
  "unknown-transfer-syntax": {
    httpStatus: 409,
    dimseStatus: 0xc122,
    failureReason: 0xc122,
    title: "The transfer syntax is not known",
  },
  "missing-identifier": {
    httpStatus: 409,
    dimseStatus: 0xa900,
    failureReason: 0xa900,
    title: "A UID that identifies the instance is missing or malformed",
  },
  "wrong-study": {
    httpStatus: 409,
    dimseStatus: 0xa900,
    failureReason: 0xa900,
    title: "The instance belongs to another study than the one addressed",
  },
  "wrong-category": {
    httpStatus: 409,
    dimseStatus: 0x0122,
    failureReason: 0x0122,
    title: "The SOP class does not belong here",
  },
  "wrong-instance": {
    httpStatus: 409,
    dimseStatus: 0xa900,
    failureReason: 0xa900,
    title: "The instance is another than the one addressed",
  },
  "different-duplicate": {
    httpStatus: 409,
    dimseStatus: 0x0111,
    failureReason: 0x0111,
    title: "Another instance with the same UIDs is stored already",
  },
  "refused-duplicate": {
    httpStatus: 409,
    dimseStatus: 0x0111,
    failureReason: 0x0111,
    title: "An instance with the same UIDs is stored already",
  },
  "storage-full": { ...outOfResources, httpStatus: 507, title: "The storage is full" },
  "storage-unavailable": { ...outOfResources, httpStatus: 503, title: "The storage does not answer" },
  "database-unavailable": { ...outOfResources, httpStatus: 503, title: "The database does not answer" },
  "cannot-listen": { ...processing, httpStatus: 503, title: "The port cannot be listened on" },
  stopping: { ...outOfResources, httpStatus: 503, title: "The server is stopping" },
  internal: { ...processing, httpStatus: 500, title: "Internal error" },
} as const satisfies Record<string, ErrorAnswer>;

/** Stable name of an error; part of the interface. */
export type ErrorCode = keyof typeof errorTable;

/** The one error type of Noctis. `message` is a sentence for the client: no path, no SQL, no secret. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }

  /** What each door answers for this error. */
  get answer(): ErrorAnswer {
    return errorTable[this.code];
  }
}

/** Anything thrown, as an ArchiveError: the unknown becomes `internal`, whose cause is for the log only. */
export function toArchiveError(error: unknown): ArchiveError {
  if (error instanceof ArchiveError) return error;
  return new ArchiveError("internal", "The server met an error that it did not expect.", { cause: error });
}
