/** Statuses of DIMSE responses in words (PS3.7 Annex C, PS3.4 B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4). */

/** Services whose statuses have meanings of their own. */
export type DimseService = "C-ECHO" | "C-STORE" | "C-FIND" | "C-MOVE" | "C-GET" | "N-ACTION" | "N-EVENT-REPORT";

/** What a status says of the request (PS3.7 C). */
export type StatusKind = "success" | "pending" | "cancel" | "warning" | "failure";

/** Statuses that any service may answer (PS3.7 Annex C). */
const general: Readonly<Record<number, string>> = {
  0x0000: "success",
  0x0001: "requested optional attributes are not supported",
  0x0105: "no such attribute",
  0x0106: "invalid attribute value",
  0x0107: "attribute list error",
  0x0110: "processing failure",
  0x0111: "duplicate SOP instance",
  0x0112: "no such SOP instance",
  0x0113: "no such event type",
  0x0114: "no such argument",
  0x0115: "invalid argument value",
  0x0116: "attribute value out of range",
  0x0117: "invalid SOP instance",
  0x0118: "no such SOP class",
  0x0119: "class-instance conflict",
  0x0120: "missing attribute",
  0x0121: "missing attribute value",
  0x0122: "refused: SOP class not supported",
  0x0123: "no such action type",
  0x0124: "refused: not authorized",
  0x0131: "duplicate transaction UID",
  0x0210: "duplicate invocation",
  0x0211: "unrecognized operation",
  0x0212: "mistyped argument",
  0x0213: "resource limitation",
  0xfe00: "cancelled",
  0xff00: "pending",
  0xff01: "pending; optional keys are not supported",
};

type Row = readonly [from: number, to: number, words: string];

const subOperations: readonly Row[] = [
  [0xa701, 0xa701, "refused: out of resources, cannot count the matches"],
  [0xa702, 0xa702, "refused: out of resources, cannot perform sub-operations"],
  [0xa801, 0xa801, "refused: the move destination is unknown"],
  [0xa900, 0xa900, "the identifier does not match the SOP class"],
  [0xaa00, 0xaa00, "none of the frames asked for are in the instance"],
  [0xaa01, 0xaa01, "unable to create a new object for this SOP class"],
  [0xaa02, 0xaa02, "unable to extract frames"],
  [0xaa03, 0xaa03, "time-based request for an instance without time"],
  [0xaa04, 0xaa04, "invalid request"],
  [0xb000, 0xb000, "sub-operations complete, with failures or warnings"],
  [0xa700, 0xa7ff, "refused: out of resources"],
  [0xc000, 0xcfff, "unable to process"],
];

/** Statuses of one service, the narrower range first. */
const ofService: Readonly<Record<DimseService, readonly Row[]>> = {
  "C-ECHO": [],
  "C-STORE": [
    [0xb000, 0xb000, "stored, with coercion of data elements"],
    [0xb006, 0xb006, "stored, with elements discarded"],
    [0xb007, 0xb007, "stored, though the data set does not match the SOP class"],
    [0xa700, 0xa7ff, "refused: out of resources"],
    [0xa900, 0xa9ff, "the data set does not match the SOP class"],
    [0xc000, 0xcfff, "cannot understand"],
  ],
  "C-FIND": [
    [0xa700, 0xa7ff, "refused: out of resources"],
    [0xa900, 0xa900, "the identifier does not match the SOP class"],
    [0xc000, 0xcfff, "unable to process"],
  ],
  "C-MOVE": subOperations,
  "C-GET": subOperations,
  "N-ACTION": [],
  "N-EVENT-REPORT": [],
};

/** What `status` says of the request (PS3.7 C): what is none of the others is a failure. */
export function statusKind(status: number): StatusKind {
  if (status === 0x0000) return "success";
  if (status === 0xff00 || status === 0xff01) return "pending";
  if (status === 0xfe00) return "cancel";
  const isWarning = status === 0x0001 || status === 0x0107 || status === 0x0116 || status >>> 12 === 0xb;
  return isWarning ? "warning" : "failure";
}

/** A status as people read it, such as `A700: refused: out of resources (disk full)`; the comment is the peer's. */
export function statusWords(service: DimseService, status: number, comment = ""): string {
  const hex = status.toString(16).toUpperCase().padStart(4, "0");
  const row = ofService[service].find(([from, to]) => status >= from && status <= to);
  const words = row?.[2] ?? general[status] ?? "a status that the standard does not name";
  const said = comment.replaceAll(/\p{Cc}/gu, " ").trim();
  return `${hex}: ${words}${said === "" ? "" : ` (${said})`}`;
}
