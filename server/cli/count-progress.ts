/** A progress line that counts: redrawn in place on a terminal, nothing elsewhere. */
import type { ProgressOutput } from "./progress.ts";

/** Shows what was told last, until `stop`. */
export interface CountProgress {
  show(done: number, total: number | undefined, failed: number): void;
  stop(): void;
}

/** Milliseconds between two drawings. */
const pause = 200;

export function startCountProgress(output: ProgressOutput, noun: string): CountProgress {
  const isTerminal = output.isTTY === true;
  let drawnAt = -pause;
  let line = "";
  const draw = () => output.write(`\r${line.slice(0, (output.columns || 80) - 1)}\u001B[K`);
  return {
    show(done, total, failed) {
      line = `${done}${total === undefined ? "" : ` of ${total}`} ${noun}${failed > 0 ? `, ${failed} failed` : ""}`;
      if (!isTerminal || performance.now() - drawnAt < pause) return;
      drawnAt = performance.now();
      draw();
    },
    stop() {
      if (!isTerminal || line === "") return;
      draw();
      output.write("\n");
    },
  };
}
