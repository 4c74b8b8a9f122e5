/** Records as the archive hands them to the catalog, without a file behind them. */
import { createHash } from "node:crypto";
import { freshKey } from "../../storage/blobs.ts";
import type { HeldObject, InstanceRecord } from "../../storage/catalog-records.ts";

/** One instance of these UIDs; `columns` are those of the instance. */
export function catalogRecord(
  study: string,
  series: string,
  instance: string,
  columns: InstanceRecord["instance"]["columns"] = {},
): InstanceRecord {
  return {
    study: { uid: study, columns: { patient_id: "P" }, attributes: {} },
    series: { uid: series, columns: { modality: "CT" }, attributes: {} },
    instance: {
      uid: instance,
      columns: { sop_class_uid: "1.2", ...columns },
      attributes: {},
      metadata: Buffer.from(instance),
      transferSyntaxUid: "1.2",
      blobKey: freshKey(),
      byteLength: 1,
      sha256: createHash("sha256").update(instance).digest(),
      dataSetOffset: 0,
      frameTable: undefined,
      bulkData: undefined,
      warnings: [],
    },
  };
}

/** Where it lies, as a commit tells of a duplicate. */
export function heldObject({ instance }: InstanceRecord): HeldObject {
  const { blobKey, byteLength, dataSetOffset, transferSyntaxUid } = instance;
  return { blobKey, byteLength, dataSetOffset, transferSyntaxUid };
}
