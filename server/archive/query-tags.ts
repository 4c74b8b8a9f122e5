/** Query tags: attributes that an operator makes searchable, their list, and the index of what is stored already. */
import type { QueryTagCatalog } from "../../storage/catalog.ts";
import type { QueryTagDefinition, QueryTagError, QueryTagState } from "../../storage/catalog-query-tags.ts";
import { ArchiveError } from "../errors.ts";
import type { Level } from "./attributes.ts";
import { neverMatched } from "./query-computed.ts";
import { isMatchedByTable } from "./query-tag-keys.ts";
import { parseTagPath } from "./query-tag-path.ts";
import { isSearchableVr, tagValuesOfMetadata } from "./query-tag-values.ts";

/** What is asked for to make a query tag. */
export interface QueryTagRequest {
  /** Keywords or tags joined by dots. */
  readonly path: string;
  /** Needed where PS3.6 has none: for private tags. */
  readonly vr?: string | undefined;
  /** Needed for private tags. */
  readonly privateCreator?: string | undefined;
  readonly level: Level;
}

/** Names one query tag. */
export interface QueryTagName {
  /** Keywords or tags joined by dots. */
  readonly path: string;
  /** Needed where tags of several creators have the path. */
  readonly privateCreator?: string | undefined;
}

/** A query tag as it is told. */
export type QueryTagAnswer = QueryTagState & { readonly keyword?: string };

/** What may be done with query tags. */
export interface QueryTags {
  /**
   * Adds tags, all or none; what is stored already is indexed in the background.
   * @throws ArchiveError `invalid-request`, `query-tag-exists`, `too-many-query-tags`
   */
  add(requests: readonly QueryTagRequest[]): Promise<readonly QueryTagAnswer[]>;
  /** Every tag, the oldest first. */
  list(): Promise<readonly QueryTagAnswer[]>;
  /** One tag. @throws ArchiveError `no-such-query-tag`, `invalid-request` */
  find(name: QueryTagName): Promise<QueryTagAnswer>;
  /** Instances whose value could not be indexed. @throws ArchiveError `no-such-query-tag`, `invalid-request` */
  errors(name: QueryTagName, page: { limit: number; offset: number }): Promise<readonly QueryTagError[]>;
  /** Removes a tag: it is searched no more. @throws ArchiveError `no-such-query-tag`, `invalid-request` */
  remove(name: QueryTagName): Promise<void>;
  /** The list for searches: at most a second old, and never older than what this process changed. */
  current(): Promise<readonly QueryTagState[]>;
  /** Indexes what is stored until nothing is left to be done, or `signal` aborts. */
  reindex(signal: AbortSignal): Promise<void>;
}

/** How long (milliseconds) a process searches by the list that it has. */
const listAge = 1000;
const longestCreator = 64;

/** Makes the use cases of query tags. */
export function createQueryTags(catalog: QueryTagCatalog): QueryTags {
  let cached: { readonly tags: Promise<readonly QueryTagState[]>; readonly at: number } | undefined;

  function current(): Promise<readonly QueryTagState[]> {
    if (cached && performance.now() - cached.at < listAge) return cached.tags;
    const tags = catalog.list();
    const fresh = { tags, at: performance.now() };
    cached = fresh;
    tags.catch(() => {
      if (cached === fresh) cached = undefined;
    });
    return tags;
  }

  async function find({ path, privateCreator }: QueryTagName): Promise<QueryTagState> {
    const { path: canonical } = parseTagPath(path, "path");
    const found = (await catalog.list()).filter(
      (tag) => tag.path === canonical && (privateCreator === undefined || tag.privateCreator === privateCreator),
    );
    const [first, ...others] = found;
    if (!first) throw new ArchiveError("no-such-query-tag", "There is no query tag of this path.");
    if (others.length === 0) return first;
    throw new ArchiveError("invalid-request", "privateCreator is needed: tags of several creators have this path.");
  }

  return {
    add: async (requests) => {
      const definitions = requests.map(definitionOf);
      const twice = definitions.find((one, index) => definitions.findIndex((other) => isSame(one, other)) < index);
      if (twice) throw new ArchiveError("query-tag-exists", `${twice.path} is asked for twice.`);
      const added = await catalog.add(definitions);
      cached = undefined;
      return added.map(answerOf);
    },
    list: async () => (await catalog.list()).map(answerOf),
    find: async (name) => answerOf(await find(name)),
    errors: async (name, page) => catalog.errors((await find(name)).id, page),
    remove: async (name) => {
      await catalog.remove((await find(name)).id);
      cached = undefined;
    },
    current,
    reindex: async (signal) => {
      while (!signal.aborted && (await catalog.indexBatch(tagValuesOfMetadata))) cached = undefined;
    },
  };
}

function isSame(one: QueryTagDefinition, other: QueryTagDefinition): boolean {
  return one.path === other.path && one.privateCreator === other.privateCreator;
}

function answerOf(tag: QueryTagState): QueryTagAnswer {
  const { keyword } = parseTagPath(tag.path, "path");
  return { ...tag, ...(keyword !== undefined && { keyword }) };
}

function definitionOf({ path, vr, privateCreator = "", level }: QueryTagRequest): QueryTagDefinition {
  const parsed = parseTagPath(path, "path");
  const creator = privateCreator.trim();
  if (parsed.hasPrivate && creator === "")
    throw invalid(`privateCreator is needed for the private tag ${parsed.path}.`);
  if (!parsed.hasPrivate && creator !== "")
    throw invalid(`privateCreator is given, but ${parsed.path} is not private.`);
  if (creator.length > longestCreator) throw invalid(`privateCreator has more than ${longestCreator} characters.`);
  const known = parsed.vr ?? vr;
  if (known === undefined) throw invalid(`vr is needed for ${parsed.path}, which PS3.6 does not have.`);
  if (vr !== undefined && vr !== known) throw invalid(`vr is ${known} in PS3.6 for ${parsed.keyword ?? parsed.path}.`);
  if (!isSearchableVr(known))
    throw invalid(`${parsed.keyword ?? parsed.path} has the VR ${known}, which is not searchable.`);
  if (neverMatched.has(parsed.path)) throw invalid(`${parsed.keyword ?? parsed.path} is not matched by searches.`);
  if (isMatchedByTable(level, parsed.path.split("."))) {
    throw new ArchiveError("query-tag-exists", `${parsed.keyword ?? parsed.path} can be searched without a query tag.`);
  }
  return { path: parsed.path, privateCreator: creator, vr: known, level };
}

function invalid(sentence: string): ArchiveError {
  return new ArchiveError("invalid-request", sentence);
}
