/** Tests of the progress line. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { duration, progressLine, startProgress } from "../../server/cli/progress.ts";

describe("progress", () => {
  const half = { files: 5, totalFiles: 10, bytes: 50e6, totalBytes: 100e6, elapsedMs: 10_000 };

  it("tells share, files, speed and the time that remains", () => {
    assert.equal(progressLine(half), "[############------------]  50%  5/10 files, 5.0 MB/s, 10 s left");
  });

  it("says nothing of the time before the first byte, nor divides by nothing", () => {
    const start = { files: 0, totalFiles: 1, bytes: 0, totalBytes: 0, elapsedMs: 0 };
    assert.equal(progressLine(start), "[########################] 100%  0/1 files, 0.0 MB/s");
  });

  it("fits the terminal", () => {
    assert.equal(progressLine(half, 20), "[############-------");
  });

  it("writes durations as people do", () => {
    assert.deepEqual([3.4, 245, 7800].map(duration), ["3 s", "4 min 05 s", "2 h 10 min"]);
  });

  it("redraws in place on a terminal and writes plain lines elsewhere", () => {
    for (const isTTY of [true, false]) {
      const written: string[] = [];
      const progress = startProgress({ isTTY, columns: 100, write: (text) => written.push(text) }, 2, 200);
      progress.add(1, 150);
      progress.add(1, 50);
      progress.stop();
      const text = written.join("");
      assert.match(text, /100% {2}2\/2 files/u);
      assert.equal(text.includes("\r"), isTTY);
      assert.ok(text.endsWith("\n"));
    }
  });
});
