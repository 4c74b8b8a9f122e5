/** Searches that are to find one fixture and not another. */
import { type JsonDataSet, textOf } from "./dicom-json.ts";
import { expect, expectEqual } from "./expect.ts";
import type { Instance } from "./instances.ts";
import { pathsOf, type QueryPairs, type Session } from "./session.ts";

/** Level of a search. */
export type QueryLevel = "study" | "series" | "instance";

/** Resource of all entities of a level. */
export const resources = { study: "/studies", series: "/series", instance: "/instances" } as const;
const uniqueKey = { study: "StudyInstanceUID", series: "SeriesInstanceUID", instance: "SOPInstanceUID" } as const;

function idOf(instance: Instance, level: QueryLevel): string {
  if (level === "study") return instance.studyInstanceUid;
  return level === "series" ? instance.seriesInstanceUid : instance.sopInstanceUid;
}

/** What is to be found and what is not, of the fixtures. */
export interface Wanted {
  readonly hit: Instance;
  readonly miss: Instance;
  /** Resource to search; that of the level without a parent when absent. */
  readonly resource?: string;
}

/** Searches at a level: the one entity must be among the matches, the other must not. */
export async function expectMatch(
  session: Session,
  level: QueryLevel,
  query: QueryPairs,
  wanted: Wanted,
): Promise<void> {
  session.need(wanted.hit);
  const matches = await session.matches(wanted.resource ?? resources[level], query);
  expectFound(matches, level, wanted);
}

function expectFound(matches: readonly JsonDataSet[], level: QueryLevel, { hit, miss }: Wanted): void {
  const found = new Set(matches.map((match) => textOf(match, uniqueKey[level])));
  expect(found.has(idOf(hit, level)), `The ${level} that matches is not among the ${found.size} found.`);
  expect(!found.has(idOf(miss, level)), `A ${level} that does not match is among those found.`);
}

/** Expects that nothing of the run is found. */
export async function expectNone(session: Session, level: QueryLevel, query: QueryPairs): Promise<void> {
  const matches = await session.matches(resources[level], query);
  expectEqual(matches.length, 0, "The number of matches");
}

/** The one match of the MR instance at its level, below its parent. */
export async function matchOf(
  session: Session,
  level: QueryLevel,
  query: QueryPairs = {},
): Promise<JsonDataSet | undefined> {
  const mr = session.need(session.fixtures.mr);
  const paths = pathsOf(mr);
  const narrow = {
    study: { StudyInstanceUID: mr.studyInstanceUid },
    series: { SeriesInstanceUID: mr.seriesInstanceUid },
  };
  if (level === "study") return (await session.matches("/studies", { ...narrow.study, ...query }))[0];
  if (level === "series") return (await session.matches(`${paths.study}/series`, { ...narrow.series, ...query }))[0];
  return (await session.matches(`${paths.series}/instances`, query))[0];
}
