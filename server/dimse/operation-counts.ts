/** Requests by the name of their operation, for the log: the names, and how many there were. */
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

/** The name of an operation, such as C-STORE; of one that is not performed, the Command Field, such as 0120H. */
export function operationName(commandField: number): string {
  return names.get(commandField) ?? `${commandField.toString(16).padStart(4, "0")}H`;
}

/** How many requests of which operation. */
export type OperationCounts = Record<string, number>;

/** One more request with this Command Field. */
export function countOperation(counts: OperationCounts, commandField: number): void {
  const name = names.get(commandField) ?? "other";
  counts[name] = (counts[name] ?? 0) + 1;
}
