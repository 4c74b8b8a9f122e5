/** Lines of backups: a restored archive goes on from a snapshot; what its original does later is not its past. */
import type { BackupLine } from "../../storage/catalog-backups.ts";
import type { Manifest } from "./backup-layout.ts";

/** A snapshot in its line; one without was made before there were lines. */
export type PlacedSnapshot = Pick<Manifest, "line" | "takenAt">;

/** Whether a snapshot shows what an archive of this line was at some time. */
export function isPast({ line, origins }: BackupLine, snapshot: PlacedSnapshot): boolean {
  if (snapshot.line === undefined || snapshot.line === line) return true;
  return origins.some((origin) => origin.line === snapshot.line && snapshot.takenAt <= origin.until);
}

/** Whether it shows what the archive that this one was restored from went on to do. */
export function isOfLivingOriginal({ origins }: BackupLine, snapshot: PlacedSnapshot): boolean {
  return origins.some((origin) => origin.line === snapshot.line && snapshot.takenAt > origin.until);
}
