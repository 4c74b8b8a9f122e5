/** Selects instances by patient and by lists of UIDs, to be sent to another application. */
import type { Blobs } from "../../storage/blobs.ts";
import type { InstanceKind, SelectedRow, SelectionCatalog, SelectionRecord } from "../../storage/catalog-selection.ts";
import type { Uid } from "../dicom/uid.ts";
import { dataSetBytes } from "./convert.ts";

/** What to select: one constraint is there at least. */
export type Selection = SelectionRecord<Uid>;

/** One instance whose data set can be sent alone. */
export interface SelectedInstance {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  /** What it is stored in. */
  readonly transferSyntaxUid: string;
  /** Length of the stored object in bytes: that of the data set, and somewhat more. */
  readonly byteLength: number;
  /**
   * The data set without preamble and file meta information, in one of the `dataSetSyntaxes` (convert.ts) of the stored
   * one; nothing is opened before the first bytes are pulled. Exactly as it was stored in the stored syntax.
   */
  readonly dataSet: (transferSyntaxUid: string) => AsyncIterable<Buffer>;
  /** The same as it is stored, read into `into`, which holds `byteLength` at least: for who has memory to be used again. */
  readonly readInto?: (into: Buffer) => Promise<Buffer>;
}

/** The instances of a selection, study by study, in series and instance order; may be gone through several times. */
export interface SelectedInstances extends AsyncIterable<SelectedInstance> {
  /** What they were when they were selected: how many of each SOP class and stored transfer syntax. */
  readonly kinds: readonly InstanceKind[];
}

/** What reading takes of a store. */
type SelectionBlobs = Pick<Blobs, "get" | "read" | "readInto">;

/** Makes the use case. What nothing matches is empty, and no error. */
export function createSelect(blobs: SelectionBlobs, catalog: SelectionCatalog) {
  return async (selection: Selection): Promise<SelectedInstances> => {
    const { sopInstanceUids } = selection;
    const series = await catalog.series(selection);
    const kinds = await catalog.kinds(series, sopInstanceUids);
    return {
      kinds,
      async *[Symbol.asyncIterator]() {
        for await (const row of catalog.instances(series, sopInstanceUids)) yield toSelected(blobs, row);
      },
    };
  };
}

/** What can be sent, of its row. */
export function toSelected(blobs: SelectionBlobs, row: SelectedRow): SelectedInstance {
  const { studyInstanceUid, seriesInstanceUid, sopInstanceUid, sopClassUid, transferSyntaxUid, byteLength } = row;
  const { blobKey, dataSetOffset } = row;
  const stored = { offset: dataSetOffset, length: byteLength - dataSetOffset };
  return {
    studyInstanceUid,
    seriesInstanceUid,
    sopInstanceUid,
    sopClassUid,
    transferSyntaxUid,
    byteLength,
    dataSet: (syntax) => dataSetBytes(blobs, row, syntax),
    readInto: (into) => blobs.readInto(blobKey, stored, into),
  };
}
