/** Webhooks: who wants to be told of changes, how far each has been told, and how the deliveries went. */
import type { Knex } from "knex";
import type { Change } from "./catalog-changes.ts";
import { databaseError } from "./database-error.ts";

/** What a webhook is told of: every value that is named must be one of those listed. */
export interface ChangeFilter {
  readonly studyInstanceUid?: readonly string[] | undefined;
  readonly sopClassUid?: readonly string[] | undefined;
  readonly origin?: readonly string[] | undefined;
}

/** A webhook to be made. */
export interface NewWebhook {
  readonly url: string;
  readonly secret: string;
  /** Actions that are told; null: every one. */
  readonly events: readonly Change["action"][] | null;
  /** Null: any change. */
  readonly filter: ChangeFilter | null;
  /** Sequence of the last change that is not told any more. */
  readonly cursor: number;
}

/** A webhook as it stands. */
export interface Webhook extends NewWebhook {
  readonly id: string;
  /** Failures since the last success. */
  readonly failures: number;
  readonly nextAttemptAt: Date;
  readonly createdAt: Date;
}

/** One attempt to tell a webhook of changes. */
export interface Delivery {
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly changeCount: number;
  /** Counts from 1. */
  readonly attempt: number;
  /** Status of the answer; null when there was none. */
  readonly status: number | null;
  /** Why it did not succeed; null when it did. */
  readonly fault: string | null;
  readonly durationMs: number;
}

/** A delivery that was made. */
export interface PastDelivery extends Delivery {
  readonly id: number;
  readonly at: Date;
}

/** Every method throws ArchiveError `database-unavailable` when PostgreSQL does not answer. */
export interface WebhookCatalog {
  add(webhook: NewWebhook): Promise<Webhook>;
  /** Every webhook, the oldest first. */
  list(): Promise<readonly Webhook[]>;
  find(id: string): Promise<Webhook | undefined>;
  /** False when it is not there. */
  remove(id: string): Promise<boolean>;
  /** Webhooks whose next attempt is due, and that do not know of change number `last` yet. */
  due(last: number): Promise<readonly Webhook[]>;
  /** Notes how far a webhook has been told, and the delivery that told it, if one was needed. */
  advance(id: string, cursor: number, delivery?: Delivery): Promise<void>;
  /** Notes a delivery that did not succeed, and when (in seconds from now) to try again. */
  postpone(id: string, delivery: Delivery, seconds: number): Promise<void>;
  /** The latest deliveries, newest first. */
  deliveries(id: string, limit: number): Promise<readonly PastDelivery[]>;
}

/** Deliveries that are remembered of one webhook. */
const remembered = 1000;

const columns = {
  id: "id",
  url: "url",
  secret: "secret",
  events: "events",
  filter: "filter",
  cursor: "cursor",
  failures: "failures",
  nextAttemptAt: "next_attempt_at",
  createdAt: "created_at",
};

/** The webhooks over an open pool. */
export function createWebhookCatalog(knex: Knex): WebhookCatalog {
  return {
    add: (webhook) => databaseError(() => addWebhook(knex, webhook)),
    list: () => databaseError(async () => await knex("webhook").orderBy("created_at").orderBy("id").select(columns)),
    find: (id) => databaseError(async () => await knex("webhook").where("id", id).first(columns)),
    remove: (id) => databaseError(async () => (await knex("webhook").where("id", id).delete()) > 0),
    due: (last) =>
      databaseError(
        async () =>
          await knex("webhook").where("cursor", "<", last).whereRaw("next_attempt_at <= now()").select(columns),
      ),
    advance: (id, cursor, delivery) => databaseError(() => advance(knex, id, cursor, delivery)),
    postpone: (id, delivery, seconds) => databaseError(() => postpone(knex, id, delivery, seconds)),
    deliveries: (id, limit) => databaseError(() => listDeliveries(knex, id, limit)),
  };
}

async function addWebhook(knex: Knex, { filter, ...webhook }: NewWebhook): Promise<Webhook> {
  const [added]: Webhook[] = await knex("webhook")
    .insert({ ...webhook, filter: filter && JSON.stringify(filter) })
    .returning(
      knex.raw(
        'id, url, secret, events, filter, cursor, failures, next_attempt_at as "nextAttemptAt", created_at as "createdAt"',
      ),
    );
  if (!added) throw new Error("an insert returned nothing");
  return added;
}

async function advance(knex: Knex, id: string, cursor: number, delivery?: Delivery): Promise<void> {
  await knex.transaction(async (trx) => {
    const changed = { cursor: trx.raw("greatest(cursor, ?)", [cursor]), failures: 0, next_attempt_at: trx.fn.now() };
    const there = await trx("webhook").where("id", id).update(changed);
    if (there > 0 && delivery) await noteDelivery(trx, id, delivery);
  });
}

async function postpone(knex: Knex, id: string, delivery: Delivery, seconds: number): Promise<void> {
  await knex.transaction(async (trx) => {
    const next = trx.raw("now() + make_interval(secs => ?)", [seconds]);
    const there = await trx("webhook").where("id", id).update({ failures: delivery.attempt, next_attempt_at: next });
    if (there > 0) await noteDelivery(trx, id, delivery);
  });
}

async function noteDelivery(trx: Knex.Transaction, id: string, delivery: Delivery): Promise<void> {
  await trx("webhook_delivery").insert({
    webhook_id: id,
    first_sequence: delivery.firstSequence,
    last_sequence: delivery.lastSequence,
    change_count: delivery.changeCount,
    attempt: delivery.attempt,
    status: delivery.status,
    fault: delivery.fault,
    duration_ms: delivery.durationMs,
  });
  const oldest = trx("webhook_delivery").select("id").where("webhook_id", id).orderBy("id", "desc").offset(remembered);
  await trx("webhook_delivery").whereIn("id", oldest).delete();
}

async function listDeliveries(knex: Knex, id: string, limit: number): Promise<PastDelivery[]> {
  return knex("webhook_delivery").where("webhook_id", id).orderBy("id", "desc").limit(limit).select({
    id: "id",
    firstSequence: "first_sequence",
    lastSequence: "last_sequence",
    changeCount: "change_count",
    attempt: "attempt",
    status: "status",
    fault: "fault",
    durationMs: "duration_ms",
    at: "at",
  });
}
