/** Bodies that are read whole before anything is done with them: small documents of JSON or XML. */
import type { Readable } from "node:stream";
import type { z } from "zod";
import { refuseTooManyValues } from "../dicom/json-reader.ts";
import { ArchiveError } from "../errors.ts";
import { issueWords, placeOf } from "./issue-words.ts";
import { parseMediaType } from "./media-type.ts";
import type { Request } from "./reply.ts";

/** Most bytes of such a body, where the resource sets no limit of its own. */
const usualLimit = 2 ** 20;

/**
 * The body as text in UTF-8.
 * @param limit most bytes that are read
 * @throws ArchiveError `body-too-large`, `body-incomplete`, `invalid-request`
 */
export async function readText(body: Readable, limit: number = usualLimit): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      if (!Buffer.isBuffer(chunk)) continue;
      length += chunk.length;
      if (length > limit) throw new ArchiveError("body-too-large", `The body has more than ${limit} bytes.`);
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof ArchiveError) throw cause;
    throw new ArchiveError("body-incomplete", "The connection ended before the body was complete.", { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new ArchiveError("invalid-request", "The body is not text in UTF-8.", { cause });
  }
}

/**
 * The body, which is JSON, as `schema` has it.
 * @throws ArchiveError `unsupported-media-type`, `invalid-request` that names what is wrong, and those of `readText`
 */
export async function readJson<Schema extends z.ZodType>(
  { header, body }: Pick<Request<unknown>, "header" | "body">,
  schema: Schema,
  limit?: number,
): Promise<z.infer<Schema>> {
  const { type = "" } = parseMediaType(header("content-type") ?? "") ?? {};
  if (!/^application\/([a-z.]+\+)?json$/.test(type)) {
    throw new ArchiveError(
      "unsupported-media-type",
      "The body of this request is application/json, which Content-Type must say.",
    );
  }
  const given = toJson(await readText(body, limit));
  const parsed = schema.safeParse(given, { error: issueWords });
  if (parsed.success) return parsed.data;
  const [{ path, message } = { path: [], message: "is malformed" }] = parsed.error.issues;
  // Some schemas take one member for a list of it.
  const isOnly = typeof path[0] === "number" && !Array.isArray(given);
  const where = placeOf(isOnly ? path.slice(1) : path) || "it";
  throw new ArchiveError("invalid-request", `The body is not what this request takes: ${where} ${message}.`);
}

/** @throws ArchiveError `invalid-request` */
function toJson(text: string): unknown {
  refuseTooManyValues(text);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ArchiveError("invalid-request", "The body is not JSON.", { cause });
  }
}
