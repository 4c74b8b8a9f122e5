/** Holds: as long as one is in force, nothing of the studies that it protects is removed, by nobody. */
import type { Catalog } from "../../storage/catalog.ts";
import type { Hold, HoldPage, HoldTarget, NewHold } from "../../storage/catalog-holds.ts";
import { ArchiveError } from "../errors.ts";
import { isEverything, readStudyMatch } from "./study-match.ts";

export type { HoldTarget, NewHold };

/** A hold, and how many studies that are there it protects, or did while it was in force. */
export interface CountedHold extends Hold {
  readonly studies: number;
}

export interface Holds {
  /** Places a hold: what is removed after the answer has regarded it. @throws ArchiveError `invalid-query`, `too-many-holds` */
  place(hold: NewHold): Promise<CountedHold>;
  /** Holds, newest first. */
  list(page: HoldPage): Promise<readonly Hold[]>;
  /** A hold, whether it is in force or not. @throws ArchiveError `no-such-hold` */
  find(id: number): Promise<CountedHold>;
  /** Ends a hold; it is remembered. @throws ArchiveError `no-such-hold` */
  release(id: number): Promise<void>;
}

/** Makes the use cases of holds. */
export function createHolds({ holds }: Pick<Catalog, "holds">): Holds {
  const counted = async (hold: Hold): Promise<CountedHold> => ({ ...hold, studies: await holds.countStudies(hold) });
  return {
    place: async (hold) => {
      if ("query" in hold) {
        if (isEverything(readStudyMatch(hold.query))) {
          throw new ArchiveError("invalid-query", "The query of a hold names no attribute that must match.");
        }
      }
      if (hold.until && hold.until.getTime() <= Date.now()) {
        throw new ArchiveError("invalid-request", "The time until which the hold lasts is over already.");
      }
      return counted(await holds.place(hold));
    },
    list: (page) => holds.list(page),
    find: async (id) => {
      const hold = await holds.find(id);
      if (!hold) throw noSuchHold();
      return counted(hold);
    },
    release: async (id) => {
      if (!(await holds.release(id))) throw noSuchHold();
    },
  };
}

function noSuchHold(): ArchiveError {
  return new ArchiveError("no-such-hold", "There is no such hold, or it is released already.");
}
