/** Delivery of changes to webhooks: in order, at least once, each webhook by one process at a time. */
import { createHmac } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Catalog } from "../../storage/catalog.ts";
import type { ChangeFilter, Delivery, Webhook } from "../../storage/catalog-webhooks.ts";
import type { Change } from "./changes.ts";
import { retryDelay } from "./retry-delay.ts";
import type { StoreLog } from "./store.ts";

export interface DeliveryOptions {
  /** How long (milliseconds) an address may take to answer; default 10 s. */
  readonly timeout?: number;
  /** How often (milliseconds) to look for changes; default 1 s. */
  readonly lookEvery?: number;
  /** Seconds to wait after so many failures; default `retryDelay`. Nothing is given up: an address that comes back is told everything. */
  readonly delay?: (failures: number) => number;
}

/** The stop of the server, and the moment when what is under way has to end. */
interface Stop {
  readonly signal: AbortSignal;
  readonly late: AbortSignal;
}

/** Changes in one delivery at most. */
const batchSize = 100;

/** How long (milliseconds) a delivery under way may take when the server stops. */
const patience = 2000;

/** The value of Noctis-Signature: the time (seconds), and HMAC-SHA256 of `time.body` by the secret, in hexadecimal. */
export function signatureOf(body: string, secret: string, seconds: number): string {
  return `t=${seconds},v1=${createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex")}`;
}

/** Whether a webhook is told of a change. */
export function isTold(change: Change, { events, filter }: Pick<Webhook, "events" | "filter">): boolean {
  if (events && !events.includes(change.action)) return false;
  const among = (name: keyof ChangeFilter) => {
    const wanted = filter?.[name];
    return wanted === undefined || wanted.includes(change[name] ?? "");
  };
  return among("studyInstanceUid") && among("sopClassUid") && among("origin");
}

/**
 * Makes the background work: until `signal` aborts it tells every webhook of the changes since its cursor. A slow one
 * holds up no other. What is under way when the server stops is told again by whoever goes on.
 */
export function createWebhookDelivery(
  catalog: Pick<Catalog, "webhooks" | "changes" | "withLock">,
  log: StoreLog,
  { timeout = 10_000, lookEvery = 1000, delay = (failures) => retryDelay(failures) }: DeliveryOptions = {},
) {
  const { webhooks, changes, withLock } = catalog;

  async function deliverAll(signal: AbortSignal): Promise<void> {
    const stop: Stop = { signal, late: soonAfter(signal) };
    const underWay = new Map<string, Promise<void>>();
    try {
      while (!signal.aborted) {
        for (const { id } of await dueWebhooks()) {
          if (!underWay.has(id))
            underWay.set(
              id,
              deliverLocked(id, stop).finally(() => underWay.delete(id)),
            );
        }
        await sleep(lookEvery, undefined, { signal }).catch(() => undefined);
      }
    } finally {
      await Promise.all(underWay.values());
    }
  }

  async function dueWebhooks(): Promise<readonly Webhook[]> {
    // Where nobody is to be told, no number is needed.
    if ((await webhooks.due(Number.MAX_SAFE_INTEGER)).length === 0) return [];
    return webhooks.due(await changes.last());
  }

  /** Never throws: a database that is away is met again by the next look. */
  async function deliverLocked(id: string, stop: Stop): Promise<void> {
    try {
      await withLock(`webhook/${id}`, async () => {
        while (!stop.signal.aborted && (await deliverNext(id, stop)));
      });
    } catch (error) {
      log.warn({ webhook: id, err: error }, "a webhook could not be told of changes; it is tried again");
    }
  }

  /** Tells a webhook of the next batch; false when it is up to date, or has to wait. */
  async function deliverNext(id: string, { signal, late }: Stop): Promise<boolean> {
    const webhook = await webhooks.find(id);
    if (!webhook || webhook.nextAttemptAt.getTime() > Date.now()) return false;
    const { changes: found, lastForgotten } = await changes.read(webhook.cursor, batchSize);
    const last = found.at(-1)?.sequence;
    if (last === undefined) return false;
    const told = found.filter((change) => isTold(change, webhook));
    const missed = webhook.cursor < lastForgotten ? { missedUpTo: lastForgotten } : undefined;
    if (told.length === 0 && !missed) {
      await webhooks.advance(id, last);
      return true;
    }
    const body = JSON.stringify({ webhook: id, ...missed, changes: told });
    const begun = performance.now();
    const { status, fault } = await post(webhook, body, late);
    // An attempt that the stop of the server cut short counts for nothing.
    if (signal.aborted && fault !== null) return false;
    const delivery: Delivery = {
      firstSequence: told[0]?.sequence ?? last,
      lastSequence: told.at(-1)?.sequence ?? last,
      changeCount: told.length,
      attempt: webhook.failures + 1,
      status,
      fault,
      durationMs: Math.round(performance.now() - begun),
    };
    if (fault === null) {
      await webhooks.advance(id, last, delivery);
      return true;
    }
    if (webhook.failures === 0)
      log.warn({ webhook: id, status, fault }, "a webhook does not take changes; it is tried again");
    await webhooks.postpone(id, delivery, delay(delivery.attempt));
    return false;
  }

  async function post(webhook: Webhook, body: string, late: AbortSignal): Promise<Pick<Delivery, "status" | "fault">> {
    try {
      const response = await fetch(webhook.url, {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "User-Agent": "Noctis",
          "Noctis-Signature": signatureOf(body, webhook.secret, Math.floor(Date.now() / 1000)),
        },
        body,
        // Another address was not agreed upon.
        redirect: "manual",
        signal: AbortSignal.any([late, AbortSignal.timeout(timeout)]),
      });
      await response.body?.cancel();
      const { status } = response;
      return { status, fault: response.ok ? null : `The address answered ${status}.` };
    } catch (error) {
      return { status: null, fault: faultOf(error) };
    }
  }

  return deliverAll;
}

/** A delivery under way when the server stops gets a moment to end, so that it need not be told again. */
function soonAfter(stop: AbortSignal): AbortSignal {
  const late = new AbortController();
  const onStop = () => void setTimeout(() => late.abort(), patience).unref();
  if (stop.aborted) onStop();
  else stop.addEventListener("abort", onStop, { once: true });
  return late.signal;
}

/** Why there was no answer, in words that can be shown. */
function faultOf(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") return "The address did not answer in time.";
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && "code" in cause ? ` (${String(cause.code)})` : "";
  return `The address could not be reached${code}.`;
}
