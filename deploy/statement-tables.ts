/** The tables of the DICOM Conformance Statement, made of the tables that the server runs by. */
import { attributesOfLevel, computed, type Level, type LevelAttribute } from "../server/archive/attributes.ts";
import { mediaByType } from "../server/archive/media-classes.ts";
import { categoryBySopClass } from "../server/archive/non-patient-categories.ts";
import { computedKeys, neverMatched } from "../server/archive/query-computed.ts";
import { isMatchedVr, matchingOf } from "../server/archive/query-match.ts";
import { termsByRegistration } from "../server/dicom/charset-terms.ts";
import { entryOfTag } from "../server/dicom/dictionary.ts";
import { transferSyntaxes } from "../server/dicom/transfer-syntax.ts";
import { errorTable } from "../server/errors.ts";
import type { Route } from "../server/http/route.ts";
import { dicomWebRoot, routes } from "../server/http/routes.ts";
import { statusMeaning } from "../server/http/status-meaning.ts";
import { dimseTables } from "./statement-dimse.ts";
import { code, hexadecimal, table, yes } from "./statement-markdown.ts";

const standard = routes.filter(({ section }) => section.startsWith("PS3.18"));
const others = routes.filter((route) => !standard.includes(route));

/** The tables by name, as Markdown. */
export function statementTables(): ReadonlyMap<string, string> {
  return new Map([
    ["resources", resourceTable(standard, dicomWebRoot)],
    ["own-resources", resourceTable(others, "")],
    ["query-parameters", parameterTable()],
    ["media-types", mediaTypeTable()],
    ["status-codes", statusTable()],
    ["errors", errorRows()],
    ["transfer-syntaxes", transferSyntaxTable()],
    ["attributes-study", attributeTable("study")],
    ["attributes-series", attributeTable("series")],
    ["attributes-instance", attributeTable("instance")],
    ["computed-attributes", computedTable()],
    ["matching", matchingTable()],
    ["wrapped-media", wrappedTable()],
    ["non-patient", nonPatientTable()],
    ["character-sets", characterSetTable()],
    ...dimseTables(),
  ]);
}

/**
 * `text` with each table in its place, between `<!-- table: name -->` and `<!-- end -->`. Throws TypeError when the text
 * names a table that there is not, or leaves one out.
 */
export function withTables(text: string, tables: ReadonlyMap<string, string>): string {
  const placed = new Set<string>();
  const filled = text.replaceAll(
    /(<!-- table: ([a-z-]+) -->\n)[\s\S]*?(<!-- end -->)/g,
    (_all, begin: string, name: string, end: string) => {
      const content = tables.get(name);
      if (content === undefined) throw new TypeError(`there is no table ${name}`);
      placed.add(name);
      return `${begin}\n${content}\n\n${end}`;
    },
  );
  const left = [...tables.keys()].filter((name) => !placed.has(name));
  if (left.length > 0) throw new TypeError(`the statement has no place for ${left.join(", ")}`);
  return filled;
}

/** As PS3.18 writes URI templates, below `base` where the route lies there. */
function template({ path }: Route, base: string): string {
  const below = path.startsWith(base) ? path.slice(base.length) || "/" : path;
  return code(below.replaceAll(/[:*](\w+)/g, "{$1}"));
}

function resourceTable(some: readonly Route[], base: string): string {
  return table(
    ["method", "resource", "transaction", "section"],
    some.map((route) => [route.method, template(route, base), route.summary, route.section]),
  );
}

/** Routes whose column is the same stand in one row, by section. */
function bySection(cellsOf: (route: Route) => readonly string[]): string[][] {
  const rows = new Map<string, string[]>();
  for (const route of standard) {
    const cells = cellsOf(route);
    const key = JSON.stringify([route.section, route.method, ...cells]);
    rows.set(key, [route.section, route.method, ...cells]);
  }
  return [...rows.values()];
}

function parameterTable(): string {
  const rows = new Map<string, string[]>();
  for (const { query, section } of routes) {
    for (const { name, meaning, isAttribute } of query) {
      if (isAttribute === true) continue;
      const key = JSON.stringify([name, meaning]);
      const row = rows.get(key) ?? [code(name), "", meaning];
      const sections = new Set([...(row[1] ?? "").split(", ").filter((one) => one !== ""), section]);
      rows.set(key, [code(name), [...sections].join(", "), meaning]);
    }
  }
  return table(["parameter", "transactions", "meaning"], [...rows.values()]);
}

function listed(types: readonly string[]): string {
  return types.map(code).join(", ") || "none";
}

function mediaTypeTable(): string {
  return table(
    ["section", "method", "request", "response"],
    bySection(({ requestTypes, responseTypes }) => [listed(requestTypes), listed(responseTypes)]),
  );
}

function statusTable(): string {
  const statuses = [...new Set(standard.flatMap((route) => route.statuses))].toSorted((a, b) => a - b);
  return table(
    ["status", "meaning", "transactions"],
    statuses.map((status) => {
      const sections = standard.filter((route) => route.statuses.includes(status)).map(({ section }) => section);
      return [`${status}`, statusMeaning(status), [...new Set(sections)].join(", ")];
    }),
  );
}

function errorRows(): string {
  return table(
    ["code", "HTTP status", "failure reason", "DIMSE status", "meaning"],
    Object.entries(errorTable).map(([name, { httpStatus, failureReason, dimseStatus, title }]) => [
      code(name),
      `${httpStatus}`,
      hexadecimal(failureReason),
      hexadecimal(dimseStatus),
      title,
    ]),
  );
}

function transferSyntaxTable(): string {
  return table(
    ["name", "UID", "pixel data", "media type of a frame"],
    [...transferSyntaxes.values()].map(({ name, uid, pixels, frameMediaType }) => [
      name,
      uid,
      pixels,
      code(frameMediaType),
    ]),
  );
}

function attributeTable(level: Level): string {
  return table(
    ["attribute", "tag", "VR", "matched", "answered"],
    attributesOfLevel[level].map((attribute) => [
      attribute.keyword,
      shownTag(attribute.tag),
      attribute.vr,
      matchedBy(attribute),
      attribute.byDefault ? "always" : "by includefield",
    ]),
  );
}

function matchedBy({ tag, vr, column }: LevelAttribute): string {
  if (neverMatched.has(tag)) return "no";
  if (vr === "SQ") return "items";
  return !isMatchedVr(vr) ? "no" : column === undefined ? "yes" : "yes, in a column";
}

function shownTag(tag: string): string {
  return `(${tag.slice(0, 4)},${tag.slice(4)})`;
}

function computedTable(): string {
  return table(
    ["attribute", "tag", "matched"],
    Object.values(computed).map((tag) => [
      entryOfTag(Number.parseInt(tag, 16))?.keyword ?? tag,
      shownTag(tag),
      computedKeys.has(tag) ? "yes" : "no",
    ]),
  );
}

const everyVr = "AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST SV TM UC UI UL UR US UT UV".split(" ");

function matchingTable(): string {
  const ranges = new Set(["DA", "DT", "TM"]);
  return table(
    ["VR", "compared as", "wildcards", "ranges", "lists", "multiple values"],
    everyVr.map((vr) => {
      const { as, wildcards, multiple } = matchingOf(vr) ?? { as: "moments", wildcards: false, multiple: false };
      return [vr, as, yes(wildcards), yes(ranges.has(vr)), yes(vr === "UI"), yes(multiple)];
    }),
  );
}

function wrappedTable(): string {
  return table(
    ["media type", "becomes", "SOP class when the metadata name none"],
    [...mediaByType].map(([type, media]) =>
      media.kind === "document"
        ? [code(type), "Encapsulated Document", media.sopClassUid]
        : [code(type), media.video ? "Pixel Data, video" : "Pixel Data", "by its samples, bits and frames"],
    ),
  );
}

function nonPatientTable(): string {
  return table(
    ["category", "SOP class UID"],
    Object.entries(categoryBySopClass).map(([uid, category]) => [code(`/${category}`), uid]),
  );
}

function characterSetTable(): string {
  return table(
    ["defined term", "with code extensions"],
    [...termsByRegistration.keys()].map((number) => [`ISO_IR ${number}`, `ISO 2022 IR ${number}`]),
  );
}
