/** Clients that others wrote: dicomweb-client in this process, DCMTK and pydicom as programs. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { Skipped } from "./expect.ts";
import { exchange } from "./http.ts";

const run = promisify(execFile);

/** The Python that Debian packages, such as python3-pydicom, belong to. */
const debianPython = "/usr/bin/python3";

/** Runs a program on a file that holds `bytes`; gives what it prints. Throws Skipped when it is not installed. */
export async function readBy(program: string, args: readonly string[], bytes: Buffer): Promise<string> {
  const folders = [...(process.env["PATH"] ?? "").split(path.delimiter), "/usr/bin"];
  const found = path.isAbsolute(program)
    ? program
    : folders.map((folder) => path.join(folder, program)).find((file) => existsSync(file));
  if (found === undefined) throw new Skipped(`${program} is not installed.`);
  const folder = await mkdtemp(path.join(tmpdir(), "conformance-"));
  try {
    const file = path.join(folder, "instance.dcm");
    await writeFile(file, bytes);
    const { stdout } = await run(found, [...args, file], { maxBuffer: 64 * 1024 * 1024 });
    return stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a script of the Python that has pydicom, on a file. Throws Skipped without it. */
export async function readByPydicom(script: string, bytes: Buffer): Promise<string> {
  try {
    await run(debianPython, ["-c", "import pydicom"]);
  } catch {
    throw new Skipped("pydicom is not installed.");
  }
  return readBy(debianPython, ["-c", `import sys, pydicom\n${script}`], bytes);
}

/** What dicomweb-client uses of a browser's XMLHttpRequest, over the suite's own requests. */
export class MinimalXmlHttpRequest {
  readyState = 0;
  status = 0;
  response: unknown = null;
  responseType = "";
  withCredentials = false;
  onreadystatechange: (() => void) | null = null;
  onloadstart: (() => void) | null = null;
  onloadend: (() => void) | null = null;
  readonly #headers: Record<string, string> = {};
  #request = { method: "GET", url: "" };
  #answered: Readonly<Record<string, string>> = {};

  /** Remembers what to ask. */
  open(method: string, url: string): void {
    this.#request = { method, url };
  }

  /** Remembers a header of the request. */
  setRequestHeader(name: string, value: string): void {
    this.#headers[name] = value;
  }

  /** A header of the answer, or null. */
  getResponseHeader(name: string): string | null {
    return this.#answered[name.toLowerCase()] ?? null;
  }

  /** The headers of the answer, a line each. */
  getAllResponseHeaders(): string {
    return Object.entries(this.#answered)
      .map(([name, value]) => `${name}: ${value}`)
      .join("\r\n");
  }

  /** Sends it; the answer comes by onreadystatechange, a failure as status 0. */
  send(body?: ArrayBuffer | Uint8Array | string): void {
    this.onloadstart?.();
    const bytes = typeof body === "string" || body === undefined ? body : bufferOf(body);
    const options = {
      method: this.#request.method,
      headers: this.#headers,
      ...(bytes !== undefined && { body: bytes }),
    };
    void exchange(this.#request.url, options)
      .then(({ status, headers, body: received }) => {
        this.#answered = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));
        this.status = status;
        this.response = this.#responseOf(received);
      })
      .catch(() => undefined)
      .then(() => {
        this.readyState = 4;
        this.onreadystatechange?.();
        this.onloadend?.();
      });
  }

  #responseOf(received: Buffer): unknown {
    if (this.responseType === "arraybuffer") {
      return received.buffer.slice(received.byteOffset, received.byteOffset + received.byteLength);
    }
    const text = received.toString("utf8");
    return this.responseType === "json" && text !== "" ? JSON.parse(text) : text;
  }
}

function bufferOf(body: ArrayBuffer | Uint8Array): Buffer {
  return body instanceof ArrayBuffer ? Buffer.from(body) : Buffer.from(body.buffer, body.byteOffset, body.byteLength);
}
