/** Counts requests by the name of their operation, for the log. */
import { commandFields } from "./command.ts";

/** Names of operations by Command Field (PS3.7 9.1, 10.1). */
const names: ReadonlyMap<number, string> = new Map([
  [commandFields.cStoreRequest, "C-STORE"],
  [commandFields.cGetRequest, "C-GET"],
  [commandFields.cFindRequest, "C-FIND"],
  [commandFields.cMoveRequest, "C-MOVE"],
  [commandFields.cEchoRequest, "C-ECHO"],
  [commandFields.nEventReportRequest, "N-EVENT-REPORT"],
  [commandFields.nActionRequest, "N-ACTION"],
]);

/** How many requests of which operation. */
export type OperationCounts = Record<string, number>;

/** One more request with this Command Field. */
export function countOperation(counts: OperationCounts, commandField: number): void {
  const name = names.get(commandField) ?? "other";
  counts[name] = (counts[name] ?? 0) + 1;
}
