/** Webhooks: addresses that are told of changes. */
import { randomBytes } from "node:crypto";
import type { Catalog } from "../../storage/catalog.ts";
import type { ChangeFilter, PastDelivery, Webhook } from "../../storage/catalog-webhooks.ts";
import { ArchiveError } from "../errors.ts";
import type { Change } from "./changes.ts";

export type { ChangeFilter, PastDelivery };

/** A webhook as it is asked for. */
export interface WebhookRequest {
  readonly url: string;
  /** With what deliveries are signed; one is made when absent. */
  readonly secret?: string | undefined;
  /** Actions that are told; absent: every one. */
  readonly events?: readonly Change["action"][] | undefined;
  /** Absent: any change. */
  readonly filter?: ChangeFilter | undefined;
  /** Only changes with a higher sequence number are told; absent: those still to come. */
  readonly since?: number | undefined;
}

/** A webhook without its secret, which is told once. */
export type PublicWebhook = Omit<Webhook, "secret">;

export interface Webhooks {
  /** Adds a webhook; its secret is told here and never again. @throws ArchiveError `too-many-webhooks` */
  add(request: WebhookRequest): Promise<Webhook>;
  list(): Promise<readonly PublicWebhook[]>;
  /** @throws ArchiveError `no-such-webhook` */
  find(id: string): Promise<PublicWebhook>;
  /** @throws ArchiveError `no-such-webhook` */
  remove(id: string): Promise<void>;
  /** The latest deliveries, newest first. @throws ArchiveError `no-such-webhook` */
  deliveries(id: string, limit: number): Promise<readonly PastDelivery[]>;
}

/** Each is looked at every second. */
const mostWebhooks = 100;

/** Makes the use cases of webhooks. */
export function createWebhooks({ webhooks, changes }: Pick<Catalog, "webhooks" | "changes">): Webhooks {
  const found = async (id: string): Promise<PublicWebhook> => {
    const webhook = await webhooks.find(id);
    if (!webhook) throw noSuchWebhook();
    return withoutSecret(webhook);
  };
  return {
    add: async ({ url, secret, events, filter, since }) => {
      if ((await webhooks.list()).length >= mostWebhooks) {
        throw new ArchiveError("too-many-webhooks", `There are ${mostWebhooks} webhooks already: remove one first.`);
      }
      return webhooks.add({
        url,
        secret: secret ?? `whsec_${randomBytes(32).toString("base64url")}`,
        events: events ?? null,
        filter: filter ?? null,
        cursor: since ?? (await changes.last()),
      });
    },
    list: async () => (await webhooks.list()).map(withoutSecret),
    find: found,
    remove: async (id) => {
      if (!(await webhooks.remove(id))) throw noSuchWebhook();
    },
    deliveries: async (id, limit) => {
      await found(id);
      return webhooks.deliveries(id, limit);
    },
  };
}

function withoutSecret(webhook: Webhook): PublicWebhook {
  const { id, url, events, filter, cursor, failures, nextAttemptAt, createdAt } = webhook;
  return { id, url, events, filter, cursor, failures, nextAttemptAt, createdAt };
}

function noSuchWebhook(): ArchiveError {
  return new ArchiveError("no-such-webhook", "There is no such webhook.");
}
