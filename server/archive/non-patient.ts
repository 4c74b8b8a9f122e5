/** Instances that belong to no patient (PS3.18 12): search and retrieve; non-patient-store.ts stores them. */
import { inflateRawSync } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { LevelDocumentAttribute } from "../../storage/catalog-records.ts";
import type { DocumentCondition } from "../../storage/catalog-match.ts";
import type { NonPatientRow } from "../../storage/catalog-non-patient.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { tagOf } from "./attribute-name.ts";
import { computed } from "./attributes.ts";
import type { NonPatientCategory } from "./non-patient-categories.ts";
import { createNonPatientStore, type NonPatientOutcome, type NonPatientTarget } from "./non-patient-store.ts";
import { literalNames, notMatched, type QueryParameters, readKeys } from "./query.ts";
import { documentConditions } from "./query-keys.ts";
import { type Paging, parsePaging } from "./query-paging.ts";
import { withBulkDataRoot } from "./retrieve.ts";
import type { StoreLog } from "./store.ts";
import type { SearchAnswer } from "./search.ts";
import { objectBytes, type ReadableBytes, tabledBytes } from "./stored-bytes.ts";

/** Which one. */
export interface NonPatientUid {
  readonly category: NonPatientCategory;
  readonly sopInstanceUid: Uid;
}

/** A query of one category, checked. */
export interface NonPatientQuery {
  readonly category: NonPatientCategory;
  readonly conditions: readonly DocumentCondition[];
  /** Tags to be answered beside those answered by default. */
  readonly included: "all" | ReadonlySet<string>;
  readonly paging: Pick<Paging, "limit" | "offset" | "limited" | "count">;
  readonly warnings: readonly string[];
}

/** One instance to be sent. */
export interface RetrievedNonPatient extends ReadableBytes {
  readonly transferSyntaxUid: string;
  readonly sha256: Buffer;
  readonly storedAt: Date;
  /** DICOM JSON; `BulkDataURI`s begin with `urlOf("")`. */
  readonly metadata: (urlOf: (path: string) => string) => string;
}

/** What may be done with them. */
export interface NonPatient {
  /** Stores one file; never throws. */
  store(body: AsyncIterable<Buffer>, target: NonPatientTarget): Promise<NonPatientOutcome>;
  /** @throws ArchiveError `invalid-query` */
  query(category: NonPatientCategory, parameters: QueryParameters): NonPatientQuery;
  /** The matches in the order of their storage, whether there are more than the limit, and their count when asked. */
  search(
    query: NonPatientQuery,
    urlOf: (path: string) => string,
  ): Promise<{ answers: readonly SearchAnswer[]; more: boolean; count: number | undefined }>;
  /** Takes one out, for good: its bytes are swept. @throws ArchiveError `no-such-instance` */
  remove(uid: NonPatientUid): Promise<void>;
  /** @throws ArchiveError `no-such-instance` */
  retrieve(uid: NonPatientUid): Promise<RetrievedNonPatient>;
  /** @throws ArchiveError `no-such-instance`, `no-such-bulk-data` */
  bulkData(uid: NonPatientUid, path: string): Promise<RetrievedNonPatient & { readonly value: ReadableBytes }>;
}

/** Answered by every search, where the instance has them; the others by includefield. Sequences and tables are long. */
const isByDefault = (attribute: LevelDocumentAttribute) =>
  attribute.vr !== "SQ" && attribute.InlineBinary === undefined;

/** Instances that one search answers at most. */
const largestLimit = 1000;

/** Makes the use cases. */
export function createNonPatient(
  blobs: Blobs,
  catalog: Pick<Catalog, "nonPatient" | "removals">,
  log: StoreLog,
): NonPatient {
  const { nonPatient } = catalog;

  async function locate({ category, sopInstanceUid }: NonPatientUid): Promise<NonPatientRow> {
    const row = await nonPatient.find(category, sopInstanceUid);
    if (row) return row;
    throw absent(category);
  }

  function retrieved(row: NonPatientRow): RetrievedNonPatient {
    const { transferSyntaxUid, byteLength, sha256, createdAt, blobKey, metadata } = row;
    return {
      transferSyntaxUid,
      byteLength,
      sha256,
      storedAt: createdAt,
      read: (range) => objectBytes(blobs, blobKey, range),
      metadata: (urlOf) => withBulkDataRoot(inflateRawSync(metadata).toString("utf8"), urlOf("")),
    };
  }

  return {
    store: createNonPatientStore(blobs, catalog, log),
    query: parseNonPatientQuery,

    search: async ({ category, conditions, included, paging }, urlOf) => {
      const count = paging.count ? await nonPatient.count(category, conditions) : undefined;
      const rows = await nonPatient.search(category, conditions, { ...paging, limit: paging.limit + 1 });
      const answers = rows.slice(0, paging.limit).map(({ sopInstanceUid, attributes }): SearchAnswer => {
        const wanted = Object.entries(attributes).filter(
          ([tag, attribute]) => included === "all" || included.has(tag) || isByDefault(attribute),
        );
        const retrieveUrl = { vr: "UR", Value: [urlOf(`${category}/${sopInstanceUid}`)] };
        return { ...Object.fromEntries(wanted), [computed.retrieveUrl]: retrieveUrl };
      });
      return { answers, more: rows.length > paging.limit, count };
    },

    remove: async ({ category, sopInstanceUid }) => {
      if (!(await nonPatient.remove(category, sopInstanceUid))) throw absent(category);
    },

    retrieve: async (uid) => retrieved(await locate(uid)),

    bulkData: async (uid, path) => {
      const row = await locate(uid);
      const entry = await nonPatient.findBulkData(row.id, path);
      if (entry === undefined) {
        throw new ArchiveError("no-such-bulk-data", "The instance has no bulk data at this path.");
      }
      return { ...retrieved(row), value: tabledBytes(blobs, row, entry) };
    },
  };
}

function absent(category: NonPatientCategory): ArchiveError {
  return new ArchiveError("no-such-instance", `There is no such instance among the ${category} of this archive.`);
}

function parseNonPatientQuery(category: NonPatientCategory, parameters: QueryParameters): NonPatientQuery {
  const all = [...parameters];
  const stray = all.find(([name]) => name === "orderby" || name === "cursor");
  if (stray) throw new ArchiveError("invalid-query", `${stray[0]} is not a parameter of a search of ${category}.`);
  const { keys, rules, wanted } = readKeys(all);
  const paging = parsePaging("instance", all);
  const { conditions, unmatched } = documentConditions(keys, rules);
  const fields = wanted
    .filter((field) => field !== "all")
    .map((field) => tagOf(field.split(".", 1)[0] ?? "", "includefield"));
  return {
    category,
    conditions,
    included: wanted.includes("all") ? "all" : new Set([...fields, ...keys.map(({ path }) => path[0] ?? "")]),
    paging: {
      ...paging,
      limit: Math.min(paging.limit, largestLimit),
      limited: paging.limited || paging.limit > largestLimit,
    },
    warnings: [...unmatched.map((path) => `${notMatched} ${path}.`), ...(rules.fuzzyMatching ? [literalNames] : [])],
  };
}
