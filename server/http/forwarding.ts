/** /api/forwarding: rules by which instances are sent on to peers as they are stored. */
import { z } from "zod";
import { isPeerName } from "../archive/peer-address.ts";
import type { ForwardingAnswer, ForwardingsAnswer } from "./answers-forwarding.ts";
import { jobPriority } from "./answers-jobs.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

const name = z
  .string()
  .refine(isPeerName, "is not 1 to 64 letters, digits, dots, hyphens and underscores, beginning with none of .-");

export const forwardingParams = z.object({
  rule: name.meta({ description: "Name of the rule.", examples: ["to-pacs2"] }),
});

type ForwardingParams = z.infer<typeof forwardingParams>;

/** Patterns with * and ?; in the answers null stands for any. */
const patterns = (what: string) =>
  z.array(z.string().trim().min(1, "is empty").max(64)).min(1).max(100).nullable().default(null).describe(what);

const secondsOfHour = 3600;

const definition = {
  match: z
    .string()
    .max(4096)
    .default("")
    .describe(
      "Query of a search for instances, as in its URL, such as Modality=CT&StudyDescription=*THORAX*: which are sent on.",
    ),
  all: z.boolean().default(false).describe("True when nothing narrows the rule: every instance."),
  origins: patterns("Doors through which the instances come: dimse, dicomweb, quarantine; null: any. With * and ?."),
  sendingAeTitles: patterns("AE titles of the applications that send them; null: any. With * and ?."),
  exceptSendingAeTitles: patterns(
    "Of those whose instances are not forwarded, beside the destination itself; null: of none. With * and ?.",
  ),
  receivingAeTitles: patterns("AE titles by which this application is called; null: any. With * and ?."),
  destination: name.describe("Name of the peer to send to: one of DIMSE, or a DICOMweb server."),
  priority: jobPriority.default("medium").describe("Of the sends, before others and to the peer."),
  quietSeconds: z
    .int()
    .min(0)
    .max(86_400)
    .default(5)
    .describe("Seconds without a further instance of the study before it is sent; ten times as long at most."),
  retryHours: z
    .int()
    .min(1)
    .max(8760)
    .default(168)
    .describe("How long, without any progress, a send is tried again before it is listed as failed."),
  enabled: z.boolean().default(true).describe("False: the rule waits, and goes on where it is when it is enabled."),
  since: z
    .int()
    .min(0)
    .optional()
    .describe(
      "Only changes with a higher sequence number are forwarded, 0 for all; absent: those still to come, or, of a rule that is there, as before.",
    ),
};

/** The body that adds a rule. */
export const forwardingRequest = z.strictObject({
  name: name.describe("Its name, which no other rule has."),
  ...definition,
});
/** The body that changes one. */
export const forwardingPut = z.strictObject(definition);

function toRequest({ retryHours, ...rule }: z.infer<typeof forwardingRequest>) {
  return { ...rule, retrySeconds: retryHours * secondsOfHour };
}

/** POST /api/forwarding */
export async function addForwarding(request: Request<object>): Promise<Reply> {
  const body = await readJson(request, forwardingRequest);
  const answer: ForwardingAnswer = await request.archive.forwarding.add(toRequest(body));
  return jsonReply(201, answer, { Location: `/api/forwarding/${answer.name}` });
}

/** GET /api/forwarding */
export async function listForwarding({ archive }: Request<object>): Promise<Reply> {
  const answer: ForwardingsAnswer = { rules: await archive.forwarding.list() };
  return jsonReply(200, answer);
}

/** GET /api/forwarding/{rule}: whether it is behind, and why. */
export async function getForwarding({ archive, params }: Request<ForwardingParams>): Promise<Reply> {
  const answer: ForwardingAnswer = await archive.forwarding.find(params.rule);
  return jsonReply(200, answer);
}

/** PUT /api/forwarding/{rule} */
export async function putForwarding(request: Request<ForwardingParams>): Promise<Reply> {
  const { rule } = request.params;
  const body = await readJson(request, forwardingPut);
  const answer: ForwardingAnswer = await request.archive.forwarding.change(rule, toRequest({ ...body, name: rule }));
  return jsonReply(200, answer);
}

/** DELETE /api/forwarding/{rule} */
export async function removeForwarding({ archive, params }: Request<ForwardingParams>): Promise<Reply> {
  await archive.forwarding.remove(params.rule);
  return { status: 204 };
}

/** POST /api/forwarding/{rule}/retry */
export async function retryForwarding({ archive, params }: Request<ForwardingParams>): Promise<Reply> {
  const answer: ForwardingAnswer = await archive.forwarding.retry(params.rule);
  return jsonReply(200, answer);
}
