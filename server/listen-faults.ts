/** Why a port cannot be had, in one sentence. */
import { ArchiveError } from "./errors.ts";

/** By what the system says. */
const listenFaults: Readonly<Record<string, string>> = {
  EADDRINUSE: "another program uses that port",
  EADDRNOTAVAIL: "this machine does not have that address",
  ENOTFOUND: "there is no such host",
  EACCES: "the port is only for root",
};

/** The error of a port that cannot be listened on. */
export function cannotListen(host: string, port: number, cause: unknown): ArchiveError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const reason = listenFaults[code] ?? `the system says ${code}`;
  return new ArchiveError("cannot-listen", `The server cannot listen on ${host}:${port}: ${reason}.`, { cause });
}
