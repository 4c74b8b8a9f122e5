/** /api/webhooks: who is told of changes, and how the deliveries went. */
import { z } from "zod";
import type { DeliveriesAnswer, WebhookAddedAnswer, WebhookAnswer, WebhooksAnswer } from "./answers.ts";
import { jsonReply } from "./json-reply.ts";
import type { Reply, Request } from "./reply.ts";
import { readJson } from "./whole-body.ts";

export const webhookParams = z.object({
  webhook: z
    .uuid("is not the id of a webhook")
    .meta({ description: "Id of the webhook.", examples: ["5f0c9b1e-3d2a-4c58-9a76-0e1b2c3d4e5f"] }),
});

type WebhookParams = z.infer<typeof webhookParams>;

/** http and https alone, without a user or a password, which every answer would show. */
const address = z
  .string()
  .max(2048, "has more than 2048 characters")
  .refine(
    (text) => URL.canParse(text) && isAddress(new URL(text)),
    "is not of the form http://host:port/path or https://host:port/path, without user information",
  );

function isAddress({ protocol, username, password }: URL): boolean {
  return /^https?:$/.test(protocol) && username === "" && password === "";
}

/** One value, or several of which one must fit. */
const values = z
  .union([z.string().max(128), z.array(z.string().max(128)).min(1).max(1000)])
  .transform((value) => (typeof value === "string" ? [value] : value));

/** The body that adds a webhook. */
export const webhookRequest = z.strictObject({
  url: address.describe("Address that is told, by http or https, without user information."),
  secret: z
    .string()
    .min(16, "has fewer than 16 characters")
    .max(256)
    .optional()
    .describe("With what deliveries are signed; one is made when absent."),
  events: z
    .array(z.enum(["create", "update", "delete", "restore"]))
    .min(1)
    .optional()
    .describe("Actions that are told; absent: every one."),
  filter: z
    .strictObject({ studyInstanceUid: values.optional(), sopClassUid: values.optional(), origin: values.optional() })
    .optional()
    .describe("Which changes are told: every member that is given must have the value of the change; absent: any."),
  since: z
    .int()
    .min(0)
    .optional()
    .describe("Only changes with a higher sequence number are told; absent: those still to come."),
});

/** POST /api/webhooks: the answer holds the secret, which is told only here. */
export async function addWebhook(request: Request<object>): Promise<Reply> {
  const webhook: WebhookAddedAnswer = await request.archive.webhooks.add(await readJson(request, webhookRequest));
  return jsonReply(201, webhook, { Location: `/api/webhooks/${webhook.id}` });
}

/** GET /api/webhooks */
export async function listWebhooks({ archive }: Request<object>): Promise<Reply> {
  const answer: WebhooksAnswer = { webhooks: await archive.webhooks.list() };
  return jsonReply(200, answer);
}

/** GET /api/webhooks/{webhook} */
export async function getWebhook({ archive, params }: Request<WebhookParams>): Promise<Reply> {
  const answer: WebhookAnswer = await archive.webhooks.find(params.webhook);
  return jsonReply(200, answer);
}

/** DELETE /api/webhooks/{webhook} */
export async function removeWebhook({ archive, params }: Request<WebhookParams>): Promise<Reply> {
  await archive.webhooks.remove(params.webhook);
  return { status: 204 };
}

/** GET /api/webhooks/{webhook}/deliveries: the latest, newest first. */
export async function listDeliveries({ archive, params, query }: Request<WebhookParams>): Promise<Reply> {
  const deliveries = await archive.webhooks.deliveries(params.webhook, Number(query.get("limit") ?? 100));
  const answer: DeliveriesAnswer = { deliveries };
  return jsonReply(200, answer);
}
