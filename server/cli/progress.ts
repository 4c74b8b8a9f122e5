/** A progress line: redrawn in place on a terminal, a plain line now and then elsewhere. */
// Written here because it is this small: cli-progress is no longer kept, and ora, listr2 or ink do far more.

/** What is done of what is to do. */
export interface ProgressState {
  readonly files: number;
  readonly totalFiles: number;
  readonly bytes: number;
  readonly totalBytes: number;
  /** Time since the start in milliseconds. */
  readonly elapsedMs: number;
}

const barWidth = 24;

function two(value: number): string {
  return String(value).padStart(2, "0");
}

/** Seconds as "3 s", "4 min 05 s" or "2 h 10 min". */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** One line about `state`: share, files, MB/s and the time that remains. Cut to `width` columns. */
export function progressLine(state: ProgressState, width = Number.POSITIVE_INFINITY): string {
  const share = state.totalBytes === 0 ? 1 : Math.min(1, Math.max(0, state.bytes / state.totalBytes));
  const filled = Math.floor(share * barWidth);
  const rate = state.elapsedMs === 0 ? 0 : state.bytes / (state.elapsedMs / 1000);
  const left = rate <= 0 ? "" : `, ${duration((state.totalBytes - state.bytes) / rate)} left`;
  const bar = `[${"#".repeat(filled)}${"-".repeat(barWidth - filled)}]`;
  const percent = `${Math.floor(share * 100)}%`.padStart(4);
  const line = `${bar} ${percent}  ${state.files}/${state.totalFiles} files, ${(rate / 1e6).toFixed(1)} MB/s${left}`;
  return line.slice(0, Math.max(0, width));
}

/** Where the line goes; process.stderr is one. */
export interface ProgressOutput {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** Shows a line about the work until `stop`. `add` counts files and bytes done; bytes may be negative. */
export interface Progress {
  add(files: number, bytes: number): void;
  stop(): void;
}

/** Starts to show progress on `output`: five times a second on a terminal, every ten seconds elsewhere. */
export function startProgress(output: ProgressOutput, totalFiles: number, totalBytes: number): Progress {
  const terminal = output.isTTY === true;
  const startedAt = performance.now();
  let files = 0;
  let bytes = 0;
  const show = (): void => {
    const state = { files, totalFiles, bytes, totalBytes, elapsedMs: performance.now() - startedAt };
    // One column short of the edge: some terminals wrap a line that fills the last one.
    const line = progressLine(state, terminal ? (output.columns || 80) - 1 : undefined);
    output.write(terminal ? `\r${line}\u001B[K` : `${line}\n`);
  };
  const timer = setInterval(show, terminal ? 200 : 10_000);
  timer.unref();
  return {
    add(moreFiles, moreBytes) {
      files += moreFiles;
      bytes += moreBytes;
    },
    stop() {
      clearInterval(timer);
      show();
      if (terminal) output.write("\n");
    },
  };
}
