/** The order of search answers: newest first, or as `orderby` asks; and the cursor that goes on behind an answer. */
import { createHash } from "node:crypto";
import { z } from "zod";
import type { OrderKey, Position } from "../../storage/catalog-order.ts";
import { ArchiveError } from "../errors.ts";
import { keywordOf, tagOf } from "./attribute-name.ts";
import {
  attributeByTag,
  type Level,
  type LevelAttribute,
  levelAttributes,
  patientAttributes,
  type SearchLevel,
} from "./attributes.ts";
import { toDate } from "./index-values.ts";

/** A key of an order, and the schema of its values. */
export interface SortKey extends OrderKey {
  readonly value: z.ZodType<string | number | null>;
}

const levels: readonly Level[] = ["study", "series", "instance"];

/** Longest cursor that is looked at, in characters: names of 500 characters, several times. */
const longestCursor = 8192;

const date = z.string().refine((text) => toDate(text.replaceAll("-", "")) === text);
const time = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?|24:00:00)$/);
const text = z.string().refine((value) => !value.includes("\0"));
const columnValues: Readonly<Record<string, z.ZodType<string | number>>> = { DA: date, TM: time, IS: z.int() };

/** The newest study first; within it by series and instance number, and at last in the order of arrival. */
const newestFirst: Readonly<Record<Level, readonly SortKey[]>> = {
  study: [key("StudyDate", true), key("StudyTime", true), id("study", true)],
  series: [key("SeriesNumber", false), id("series", false)],
  instance: [key("InstanceNumber", false), id("instance", false)],
};

/**
 * The order of a search at `level`: the keys of `orderby`, then those of the default order that are left, so that no
 * two matches are alike. PS3.18 has no such parameter; its form (keywords or tags, a minus before those that descend)
 * is the one that other archives know.
 * @throws ArchiveError `invalid-query`
 */
export function orderOf(level: SearchLevel, orderby: readonly string[]): readonly SortKey[] {
  const above = levelsOf(level);
  const wanted = orderby.map((field) => {
    const descending = field.startsWith("-");
    const tag = tagOf(descending ? field.slice(1) : field, "orderby");
    const attribute = (level === "patient" ? patientAttributes : attributeByTag).get(tag);
    if (attribute?.column !== undefined && above.includes(attribute.level)) return sortKey(attribute, descending);
    const all = orderKeywords(level).join(", ");
    throw new ArchiveError("invalid-query", `orderby names ${keywordOf(tag)}, which is none of what it takes: ${all}.`);
  });
  const keys = new Map<string, SortKey>();
  for (const each of [...wanted, ...above.flatMap((one) => newestFirst[one])]) {
    const name = `${each.level}.${each.column}`;
    if (!keys.has(name)) keys.set(name, each);
  }
  return [...keys.values()];
}

/** What `orderby` takes in a search at `level`: keywords of attributes of that level and of those above. */
export function orderKeywords(level: SearchLevel): readonly string[] {
  const attributes = level === "patient" ? [...patientAttributes.values()] : levelAttributes;
  const above = levelsOf(level);
  return attributes.flatMap((one) => (one.column !== undefined && above.includes(one.level) ? [one.keyword] : []));
}

function levelsOf(level: SearchLevel): readonly Level[] {
  return level === "patient" ? ["study"] : levels.slice(0, levels.indexOf(level) + 1);
}

/** Where a search goes on. */
export interface Continuation {
  readonly behind: Position;
  /** Of a search for patients: the state that the walk began with. */
  readonly asOf?: number;
}

/** The cursor of a place: opaque to clients, and of no use but for the same level in the same order. */
export function toCursor(level: SearchLevel, order: readonly SortKey[], { behind, asOf }: Continuation): string {
  return Buffer.from(JSON.stringify([orderMark(level, order), asOf ?? null, ...behind])).toString("base64url");
}

/** The place that a cursor says. @throws ArchiveError `invalid-query` */
export function fromCursor(level: SearchLevel, order: readonly SortKey[], cursor: string): Continuation {
  const asOf = level === "patient" ? z.int() : z.null();
  const mark = z.literal(orderMark(level, order));
  const parsed = z.tuple([mark, asOf], z.union([z.string(), z.number(), z.null()])).safeParse(jsonOf(cursor));
  const [, state, ...behind] = parsed.data ?? [];
  if (behind.length === order.length && order.every(({ value }, at) => value.safeParse(behind[at]).success)) {
    return { behind, ...(typeof state === "number" && { asOf: state }) };
  }
  throw new ArchiveError("invalid-query", "cursor is none that this search has given.");
}

function jsonOf(cursor: string): unknown {
  if (cursor.length > longestCursor || !/^[\w-]+$/.test(cursor)) return undefined;
  try {
    return JSON.parse(Buffer.from(cursor, "base64url").toString());
  } catch {
    return undefined;
  }
}

function orderMark(searched: SearchLevel, order: readonly SortKey[]): string {
  const names = order.map(({ level, column, descending }) => `${descending ? "-" : ""}${level}.${column}`);
  return createHash("sha256")
    .update([searched, ...names].join())
    .digest("base64url")
    .slice(0, 6);
}

function key(keyword: string, descending: boolean): SortKey {
  const attribute = attributeByTag.get(tagOf(keyword, "orderby"));
  if (!attribute) throw new TypeError(`${keyword} is no attribute of a level`);
  return sortKey(attribute, descending);
}

function sortKey({ level, column, vr }: LevelAttribute, descending: boolean): SortKey {
  if (column === undefined) throw new TypeError("an attribute without a column has no order");
  return { level, column, descending, value: (columnValues[vr] ?? text).nullable() };
}

/** Ids follow the order of arrival, and make an order total. */
function id(level: Level, descending: boolean): SortKey {
  return { level, column: "id", descending, value: z.int() };
}
