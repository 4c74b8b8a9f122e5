/** A file system of a few megabytes in memory, which tests fill, empty and make read-only. Guard by `requirement("tmpfs")`. */
import { execFile } from "node:child_process";
import { mkdir, rm, statfs, writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface SmallDisk {
  readonly folder: string;
  /** Takes what is free, but for `left` bytes. */
  fill(left?: number): Promise<void>;
  /** Gives back what `fill` took. */
  empty(): Promise<void>;
  /** Refuses or allows writes. */
  make(mode: "ro" | "rw"): Promise<void>;
  /** Takes the file system away. */
  remove(): Promise<void>;
}

/** Mounts a file system of `megabytes` at `folder`, which is made. */
export async function mountSmallDisk(folder: string, megabytes: number): Promise<SmallDisk> {
  await mkdir(folder, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755`, "tmpfs", folder]);
  const fillers: string[] = [];
  return {
    folder,
    fill: async (left = 0) => {
      // The last page is only there when it is asked for by itself.
      for (const portion of [2 ** 20, 4096]) {
        const { bavail, bsize } = await statfs(folder);
        const length = Math.floor((bavail * bsize - left) / portion) * portion;
        if (length <= 0) continue;
        const filler = path.join(folder, `filler-${fillers.length}`);
        fillers.push(filler);
        await writeFile(filler, Buffer.alloc(length));
      }
    },
    empty: async () => {
      for (let filler = fillers.pop(); filler !== undefined; filler = fillers.pop()) await rm(filler);
    },
    make: async (mode) => void (await run("mount", ["-o", `remount,${mode}`, folder])),
    remove: async () => void (await run("umount", ["-l", folder])),
  };
}
