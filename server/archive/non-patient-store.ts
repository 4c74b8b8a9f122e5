/** Stores instances that belong to no patient (PS3.18 12.5): color palettes, hanging protocols and the like. */
import { deflateRawSync } from "node:zlib";
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { NonPatientRecord } from "../../storage/catalog-non-patient.ts";
import type { LevelDocument } from "../../storage/catalog-records.ts";
import { textOf } from "../dicom/data-set.ts";
import { type DicomJson, toDicomJson, toJsonText } from "../dicom/json.ts";
import type { ScannedFile } from "../dicom/part10.ts";
import { isUid, type Uid, uidRule } from "../dicom/uid.ts";
import { ArchiveError, toArchiveError } from "../errors.ts";
import { computed } from "./attributes.ts";
import type { StoredBytes } from "./describe.ts";
import { createOrphans } from "./orphans.ts";
import { Reading } from "./reading.ts";
import type { StoreLog } from "./store.ts";
import { type NonPatientCategory, nonPatientCategoryOf } from "./non-patient-categories.ts";

/** Where an instance is stored to. */
export interface NonPatientTarget {
  readonly category: NonPatientCategory;
  /** When given, an instance with another UID is refused. */
  readonly sopInstanceUid?: Uid;
}

/** What became of one instance. */
export type NonPatientOutcome =
  | {
      readonly status: "stored" | "already-stored";
      readonly sopClassUid: Uid;
      readonly sopInstanceUid: Uid;
      readonly warnings: readonly string[];
    }
  | {
      readonly status: "failed";
      readonly error: ArchiveError;
      readonly sopClassUid?: string;
      readonly sopInstanceUid?: string;
    };

const tag = { sopClassUid: 0x00080016, sopInstanceUid: 0x00080018 } as const;

/** Makes the use case. It never throws: what goes wrong with an instance is its outcome, and leaves no object. */
export function createNonPatientStore(
  blobs: Blobs,
  { nonPatient, removals }: Pick<Catalog, "nonPatient" | "removals">,
  log: StoreLog,
) {
  const orphans = createOrphans(blobs, removals, log);
  return async function storeNonPatient(
    body: AsyncIterable<Buffer>,
    target: NonPatientTarget,
  ): Promise<NonPatientOutcome> {
    const reading = new Reading(body, (file) => describeFor(file, target));
    try {
      const { key: blobKey, byteLength } = await blobs.put(reading.chunks(), {
        metadata: () => {
          const { sopClassUid, sopInstanceUid } = reading.described();
          const sha256 = reading.sha256().toString("hex");
          return { sha256, kind: "non-patient-instance", sopClassUid, sopInstanceUid };
        },
      });
      const { file, sopClassUid, sopInstanceUid } = reading.described();
      const sha256 = reading.sha256();
      const described = nonPatientRecord(reading.described(), { blobKey, byteLength, sha256 });
      const duplicate = await nonPatient.insert(described).catch(async (error: unknown) => {
        await orphans.doubt(blobKey, error);
        throw error;
      });
      const warnings = file.warnings.map(({ message }) => message);
      if (!duplicate) return { status: "stored", sopClassUid, sopInstanceUid, warnings };
      await orphans.remove(blobKey);
      if (duplicate.held.equals(sha256)) return { status: "already-stored", sopClassUid, sopInstanceUid, warnings: [] };
      throw new ArchiveError(
        "different-duplicate",
        "Other content is stored already under the same UID; it was kept, and this was not stored.",
      );
    } catch (cause) {
      const error = toArchiveError(cause);
      if (error.code === "internal") log.warn({ err: cause }, "an instance could not be stored");
      return { status: "failed", error, ...reading.identifiersSoFar() };
    } finally {
      reading.end();
    }
  };
}

/** @throws ArchiveError `missing-identifier`, `wrong-category`, `wrong-instance` */
function describeFor(file: ScannedFile, target: NonPatientTarget): DescribedNonPatient {
  const described = describeNonPatient(file);
  if (described.category !== target.category) {
    throw new ArchiveError("wrong-category", `An instance of this SOP class does not belong to ${target.category}.`);
  }
  if ((target.sopInstanceUid ?? described.sopInstanceUid) !== described.sopInstanceUid) {
    throw new ArchiveError("wrong-instance", "SOPInstanceUID (0008,0018) is not that of the address.");
  }
  return described;
}

/** What a scanned file of an instance that belongs to no patient says. */
export interface DescribedNonPatient {
  readonly file: ScannedFile;
  readonly category: NonPatientCategory | undefined;
  readonly sopClassUid: Uid;
  readonly sopInstanceUid: Uid;
}

/** Describes a scanned file. @throws ArchiveError `missing-identifier` */
export function describeNonPatient(file: ScannedFile): DescribedNonPatient {
  const sopClassUid = uidOf(textOf(file.dataSet, tag.sopClassUid), "SOPClassUID (0008,0016)");
  const sopInstanceUid = uidOf(textOf(file.dataSet, tag.sopInstanceUid), "SOPInstanceUID (0008,0018)");
  return { file, category: nonPatientCategoryOf(sopClassUid), sopClassUid, sopInstanceUid };
}

/** The row of one whose bytes are durable. @throws ArchiveError `wrong-category` */
export function nonPatientRecord(described: DescribedNonPatient, bytes: StoredBytes): NonPatientRecord {
  const { file, category, sopClassUid, sopInstanceUid } = described;
  if (category === undefined)
    throw new ArchiveError("wrong-category", "Instances of this SOP class belong to a patient.");
  const { json, bulkData } = toDicomJson(file.dataSet, {
    bulkDataUri: (path) => `${category}/${sopInstanceUid}/bulkdata/${path}`,
  });
  json[computed.availableTransferSyntaxUid] = { vr: "UI", Value: [file.transferSyntax.uid] };
  return {
    sopInstanceUid,
    sopClassUid,
    category,
    attributes: withoutBulkData(json),
    metadata: deflateRawSync(toJsonText(json), { level: 4 }),
    transferSyntaxUid: file.transferSyntax.uid,
    ...bytes,
    dataSetOffset: file.dataSetOffset,
    bulkData: Object.keys(bulkData).length === 0 ? undefined : bulkData,
  };
}

function uidOf(text: string | undefined, name: string): Uid {
  if (text !== undefined && isUid(text)) return text;
  throw new ArchiveError("missing-identifier", `${name} ${text === undefined ? "is missing" : uidRule}.`);
}

/** What a search matches and answers; PostgreSQL's jsonb holds no U+0000. */
function withoutBulkData(json: DicomJson): LevelDocument {
  const text = JSON.stringify(json, (_key, value: unknown) =>
    typeof value === "string" ? value.replaceAll("\0", "") : value,
  );
  const document: DicomJson = JSON.parse(text);
  return Object.fromEntries(
    Object.entries(document).filter(([, attribute]) => !JSON.stringify(attribute).includes('"BulkDataURI":')),
  );
}
