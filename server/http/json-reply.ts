/** Answers in JSON of the server's own resources, each as a schema describes it. */
import { z } from "zod";
import type { Reply } from "./reply.ts";

/** What a handler answers that is described by `Schema`. */
export type AnswerOf<Schema extends z.ZodType> = Immutable<z.output<Schema>>;

type Immutable<Value> = Value extends Date
  ? Value
  : Value extends object
    ? { readonly [Key in keyof Value]: Immutable<Value[Key]> }
    : Value;

/** A moment, which JSON has as text (RFC 3339). */
export const moment = z.codec(z.iso.datetime(), z.date(), {
  decode: (text) => new Date(text),
  encode: (date) => date.toISOString(),
});

/** The answer; nothing between server and client may keep it. */
export function jsonReply(status: number, answer: object, headers: Reply["headers"] = {}): Reply {
  return {
    status,
    headers: { "Content-Type": "application/json", "Cache-Control": "no-store", ...headers },
    body: JSON.stringify(answer),
  };
}

/** Where the page behind `page` begins: at its last id, if it is full; null when there is none. */
export function nextOf(page: readonly { readonly id: number }[], limit: number): number | null {
  return page.length < limit ? null : (page.at(-1)?.id ?? null);
}
