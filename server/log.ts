/** The log: JSON lines on stdout (pino). No patient data, no secret, no body of a request goes into it. */
import { type Logger, type LoggerOptions, pino } from "pino";

/** Anything that logs by level. */
export type Log = Pick<Logger, "debug" | "info" | "warn" | "error">;

/** @param level lowest level that is written */
export function createLog(level: string): Log {
  return pino(optionsOf(level));
}

/** The log of a command, whose stdout is its answer: on stderr. */
export function createCommandLog(level: string): Log {
  return pino(optionsOf(level), pino.destination(2));
}

function optionsOf(level: string): LoggerOptions {
  return { level, base: null, timestamp: pino.stdTimeFunctions.isoTime, serializers: { err: errorFields } };
}

/** Of an error only what cannot hold patient data: PostgreSQL puts values into `detail`. */
function errorFields(error: unknown): object {
  if (!(error instanceof Error)) return { type: typeof error };
  const { name, message, stack, cause } = error;
  const code = "code" in error && typeof error.code === "string" ? { code: error.code } : {};
  return { type: name, message, ...code, stack, ...(cause !== undefined && { cause: errorFields(cause) }) };
}
