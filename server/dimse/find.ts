/** C-FIND as SCP (PS3.4 C.4.1): identifiers become queries of the archive, and matches pending responses. */
import { setImmediate } from "node:timers/promises";
import type { Archive } from "../archive/archive.ts";
import { IdentifierFault } from "../archive/query-identifier.ts";
import type { DicomJson } from "../dicom/json.ts";
import { ArchiveError, errorTable, toArchiveError } from "../errors.ts";
import type { IncomingRequest, ResponseFields, Service } from "./association.ts";
import { extendedNegotiationOf } from "./extended-negotiation.ts";
import { findAnswer } from "./find-answer.ts";
import { encodeIdentifier, gatherIdentifier, type ReadIdentifier, readIdentifier } from "./identifier.ts";
import { informationModels, type QueryRetrieveLevel } from "./information-models.ts";
import { levelOf, requireUniqueKeys, searchLevels } from "./query-levels.ts";
import { statuses } from "./status.ts";
import { untilAborted } from "./until-aborted.ts";

/** What the service needs. */
export interface FindDependencies {
  readonly archive: Pick<Archive, "queryIdentifier" | "searchAll">;
  /** AE title of this application, of which matches can be retrieved. */
  readonly aeTitle: string;
}

/** Responses after which others get a turn, and a cancellation is seen, however fast the peer reads. */
const responsesPerTurn = 64;

/**
 * Makes the service: a pending response for every match, as the peer takes them, however many there are; then success,
 * or FE00 as soon as the peer cancels. It fails with A900, and the elements, for an identifier that cannot be understood,
 * A700 when the database does not answer, and C001 for what nobody foresaw.
 */
export function createFind({ archive, aeTitle }: FindDependencies): Service {
  return async (request) => {
    try {
      const asked = await readRequest(request);
      const { json } = asked;
      const level = admittedLevel(request, json);
      const query = await archive.queryIdentifier(searchLevels[level], json, rulesOf(request));
      // Warnings are of keys that are not supported (PS3.4 C.4.1.1.4).
      const status = query.warnings.length === 0 ? statuses.pending : statuses.pendingWithWarning;
      const answers = untilAborted(archive.searchAll(query, request.signal), request.signal);
      await respondAll(request, asked, answers, (found) => findAnswer(json, found, level, aeTitle), status);
    } catch (error) {
      if (request.association.ended.aborted) return;
      await request.respond(failureOf(error));
      // For the log.
      throw error;
    }
  };
}

async function readRequest({ dataSet, context }: IncomingRequest): Promise<ReadIdentifier> {
  if (!dataSet) throw new IdentifierFault("The request has no identifier.", []);
  return readIdentifier(await gatherIdentifier(dataSet), context.transferSyntaxUid);
}

function admittedLevel(request: IncomingRequest, identifier: DicomJson): QueryRetrieveLevel {
  const model = informationModels.find(({ findSopClassUid }) => findSopClassUid === request.context.abstractSyntaxUid);
  if (!model) throw new ArchiveError("sop-class-not-supported", "C-FIND is not supported for this SOP class.");
  const level = levelOf(identifier, model);
  if (!agreedOptions(request).has("relationalQueries")) requireUniqueKeys(identifier, model, level);
  return level;
}

function agreedOptions({ association, context }: IncomingRequest): ReturnType<typeof extendedNegotiationOf> {
  return extendedNegotiationOf(association, "find", context.abstractSyntaxUid);
}

function rulesOf(request: IncomingRequest) {
  const agreed = agreedOptions(request);
  return {
    fuzzyMatching: agreed.has("fuzzySemanticMatching"),
    emptyValueMatching: agreed.has("emptyValueMatching"),
    multipleValueMatching: agreed.has("multipleValueMatching"),
    combinedDateTimes: agreed.has("combinedDateTimeMatching"),
  };
}

async function respondAll(
  request: IncomingRequest,
  { characterSet }: ReadIdentifier,
  answers: AsyncIterable<DicomJson>,
  identifierOf: (found: DicomJson) => DicomJson,
  status: number,
): Promise<void> {
  const { context, signal } = request;
  let count = 0;
  for await (const found of answers) {
    await request.respond({ status }, encodeIdentifier(identifierOf(found), context.transferSyntaxUid, characterSet));
    count += 1;
    if (count % responsesPerTurn === 0) await setImmediate();
    if (signal.aborted) break;
  }
  if (request.association.ended.aborted) return;
  await request.respond({ status: request.isCancelled() ? statuses.cancelled : statuses.success });
}

/** PS3.4 Table C.4-1. */
function failureOf(error: unknown): ResponseFields {
  const { code, answer, message } = toArchiveError(error);
  if (code === "internal") {
    const { dimseStatus, title } = errorTable["query-failed"];
    return { status: dimseStatus, errorComment: `${title}.` };
  }
  const offendingElements = error instanceof IdentifierFault ? error.offendingElements : [];
  return { status: answer.dimseStatus, errorComment: message, offendingElements };
}
