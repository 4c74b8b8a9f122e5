/** What a program asks of the system, as strace writes it down: which call began and ended before which. */

/** One system call. */
export interface SystemCall {
  readonly name: string;
  /** The arguments as strace prints them, descriptors with their paths. */
  readonly args: string;
  /** The result as strace prints it; undefined when the call had not ended. */
  readonly result: string | undefined;
  /** Line at which it began, and at which it ended. */
  readonly begin: number;
  readonly end: number;
}

const whole = /^(\d+)\s+(\w+)\((.*)\)\s+= (.+)$/;
const begun = /^(\d+)\s+(\w+)\((.*) <unfinished \.\.\.>$/;
const resumed = /^(\d+)\s+<\.\.\. (\w+) resumed>(.*)\)\s+= (.+)$/;

/** The calls of `strace -f -y -o`, in the order in which they began. */
export function readCalls(trace: string): SystemCall[] {
  const calls: SystemCall[] = [];
  const open = new Map<string, { name: string; args: string; begin: number }>();
  trace.split("\n").forEach((line, at) => {
    const [, , name = "", args = "", result] = whole.exec(line) ?? [];
    if (result !== undefined) calls.push({ name, args, result, begin: at, end: at });
    const [, beginner, begunName = "", begunArgs = ""] = begun.exec(line) ?? [];
    if (beginner !== undefined) open.set(beginner, { name: begunName, args: begunArgs, begin: at });
    const [, thread, , rest = "", late] = resumed.exec(line) ?? [];
    const call = thread === undefined ? undefined : open.get(thread);
    if (thread === undefined || call === undefined) return;
    open.delete(thread);
    calls.push({ ...call, args: call.args + rest, result: late, end: at });
  });
  for (const call of open.values()) calls.push({ ...call, result: undefined, end: Number.POSITIVE_INFINITY });
  return calls.sort((one, other) => one.begin - other.begin);
}
