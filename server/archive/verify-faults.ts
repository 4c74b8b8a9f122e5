/** Suspicions become faults when a second look says the same of an object that a row still names; and faults end. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultKind, IntegrityCatalog, NewFault } from "../../storage/catalog-integrity.ts";
import type { HeldObject } from "../../storage/catalog-objects.ts";
import { inParallel } from "./in-parallel.ts";
import type { Finding } from "./verify-object.ts";

/** Where goes what an operator must know of. Fields hold UIDs, and nothing else of a patient. */
export interface VerifyLog {
  readonly info: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly warn: (fields: Readonly<Record<string, unknown>>, message: string) => void;
  readonly error: (fields: Readonly<Record<string, unknown>>, message: string) => void;
}

export interface FaultSettings {
  /** Null when the verification is of one study, which leaves no run behind. */
  readonly runId: number | null;
  readonly parallel: number;
  /** Milliseconds until the second look. */
  readonly patience: number;
  readonly signal: AbortSignal;
}

/** A look at the object of a row: of some looks the row has its UIDs. */
export type Look = (row: HeldObject) => Promise<Finding | undefined>;

/** The faults of one verification. */
export interface FaultBook {
  /** Looks at every row, twice where something is wrong; notes what stays wrong, and tells it by key. */
  examine(rows: readonly HeldObject[], look: Look): Promise<ReadonlyMap<string, FaultKind>>;
  /** Notes faults that are sure, and logs those that are new. */
  note(faults: readonly NewFault[]): Promise<void>;
}

/** Lines in the log of one verification; the others are in the catalog alone. */
const mostLogged = 100;

/** Makes the book. */
export function createFaultBook(
  integrity: IntegrityCatalog,
  log: VerifyLog,
  { runId, parallel, patience, signal }: FaultSettings,
): FaultBook {
  let logged = 0;

  const note = async (faults: readonly NewFault[]) => {
    const fresh = await integrity.noteFaults(runId, faults);
    for (const { key, kind, row, detail } of faults) {
      if (!fresh.has(key) || logged > mostLogged) continue;
      logged += 1;
      if (logged > mostLogged) {
        log.error({}, "there are more objects that are not right: noctis verify tells them all");
        return;
      }
      const { studyInstanceUid, seriesInstanceUid, sopInstanceUid, holder } = row ?? {};
      const fields = { kind, blobKey: key, studyInstanceUid, seriesInstanceUid, sopInstanceUid, holder };
      log[kind === "orphan" ? "warn" : "error"](fields, detail);
    }
  };

  return {
    note,
    examine: async (rows, look) => {
      const suspicious: HeldObject[] = [];
      await inParallel(rows, parallel, async (row) => {
        if (await look(row)) suspicious.push(row);
      });
      if (suspicious.length === 0) return new Map();
      await sleep(patience, undefined, { signal });
      // One that was removed meanwhile is none of ours any more.
      const named = await integrity.heldAt(suspicious.map(({ key }) => key));
      const faults = new Map<string, NewFault>();
      await inParallel(named, parallel, async (row) => {
        const { key } = row;
        const finding = await look(row);
        if (finding) faults.set(key, { key, row, ...finding });
        else log.warn({ blobKey: key }, "an object was right only when it was looked at again");
      });
      // Of one that was removed during the second look, too.
      const still = await integrity.heldAt([...faults.keys()]);
      const held = new Set(still.map(({ key }) => key));
      const sure = [...faults.values()].filter(({ key }) => held.has(key));
      await note(sure);
      return new Map(sure.map(({ key, kind }) => [key, kind]));
    },
  };
}
