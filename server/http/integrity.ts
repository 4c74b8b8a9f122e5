/** /api/integrity: what verifications found, and how far they have come. */
import { z } from "zod";
import { isUid, uidRule } from "../dicom/uid.ts";
import { faultKinds, type FaultsAnswer, type IntegrityAnswer, runAnswer } from "./answers-integrity.ts";
import { jsonReply } from "./json-reply.ts";
import { pageLimit, position } from "./query-parameters.ts";
import type { Reply, Request } from "./reply.ts";
import type { QueryParameter } from "./route.ts";

const kind = z.enum(faultKinds, `is none of ${faultKinds.join(", ")}`);
const state = z.enum(["open", "resolved"], "is neither open nor resolved");
const study = z.custom<string>((value) => typeof value === "string" && isUid(value), uidRule);

/** Parameters of the list of faults. */
export const faultsQuery: readonly QueryParameter[] = [
  { name: "limit", meaning: "Faults to answer at most: 100 unless given.", schema: pageLimit, example: "100" },
  { name: "after", meaning: "Where to go on: the `next` of the page before.", schema: position },
  { name: "state", meaning: "Which ones: open unless given, or resolved.", schema: state, example: "open" },
  { name: "kind", meaning: "Only faults of this kind.", schema: kind, example: "missing" },
  { name: "study", meaning: "Only those of instances of this study, by its UID.", schema: study, example: "2.25.1001" },
];

/** GET /api/integrity */
export async function getIntegrity({ archive }: Request<object>): Promise<Reply> {
  const { faults, background, lastFinished, command, everyDays } = await archive.integrity.status();
  const answer: IntegrityAnswer = {
    openFaults: faults,
    everyDays,
    running: background?.finishedAt === null ? runAnswer(background) : null,
    lastFinished: runAnswer(lastFinished),
    lastCommand: runAnswer(command),
  };
  return jsonReply(200, answer);
}

/** GET /api/integrity/faults */
export async function listFaults({ archive, query }: Request<object>): Promise<Reply> {
  const limit = Number(query.get("limit") ?? 100);
  const faults = await archive.integrity.faults({
    limit,
    after: Number(query.get("after") ?? 0),
    state: state.parse(query.get("state") ?? "open"),
    kind: kind.optional().parse(query.get("kind") ?? undefined),
    studyInstanceUid: query.get("study") ?? undefined,
  });
  const answer: FaultsAnswer = {
    faults: [...faults],
    next: faults.length < limit ? null : (faults.at(-1)?.id ?? null),
  };
  return jsonReply(200, answer);
}
