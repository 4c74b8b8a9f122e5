/** Whether the beginning of a document is what its media type says, so that no other bytes are wrapped under its name. */
import { malformedMedia, reader } from "./media-header.ts";
import type { ByteSource } from "./part10-writer.ts";

/** Bytes within which readers look for the header of a PDF (ISO 32000-1 Annex H, note 13). */
const pdfWindow = 1024;

/** Bytes of a binary STL before its triangles, and of one of these. */
const stlHeader = 84;
const stlTriangle = 50;

/** @throws ArchiveError `malformed-media` */
export async function checkPdf(source: ByteSource): Promise<void> {
  const start = await reader(source)(0, pdfWindow);
  if (!start.includes("%PDF-")) throw malformedMedia("The bytes are not a PDF document.");
}

/** A text that begins with `solid`, or as many triangles as the header counts. @throws ArchiveError `malformed-media` */
export async function checkStl(source: ByteSource): Promise<void> {
  const start = await reader(source)(0, stlHeader);
  const isText = /^\s*solid/i.test(start.toString("utf8"));
  const triangles = start.length === stlHeader ? start.readUInt32LE(stlHeader - 4) : -1;
  if (isText || source.byteLength === stlHeader + stlTriangle * triangles) return;
  throw malformedMedia("The bytes are not an STL model.");
}
