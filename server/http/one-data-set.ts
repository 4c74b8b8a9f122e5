/** Answers that are one data set: DICOM JSON or Native DICOM Model XML (PS3.18 8.7.3). */
import { type DicomJson, toJsonText } from "../dicom/json.ts";
import { toNativeXml } from "../dicom/xml.ts";
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";
import { multipartRelated } from "./multipart-writer.ts";
import type { Reply } from "./reply.ts";

const json = "application/dicom+json";
const xml = "application/dicom+xml";

/** Some clients ask for the one document of the answer as multipart. */
const offers = [
  { mediaType: json, multipart: false },
  { mediaType: "application/json", multipart: false },
  { mediaType: xml, multipart: false },
  { mediaType: xml, multipart: true },
] as const;

/** How the data set is written. */
export type Representation = (typeof offers)[number];

/** @throws ArchiveError `not-acceptable` */
export function negotiateDataSet(accept: readonly AcceptRange[]): Representation {
  const offer = negotiate(accept, offers);
  if (offer) return offer;
  throw new ArchiveError("not-acceptable", `The answer is available as ${json} and ${xml}.`);
}

/** Body and Content-Type of a reply that is `dataSet`. */
export function writtenAs(
  dataSet: DicomJson,
  { mediaType, multipart }: Representation,
): { readonly headers: Readonly<Record<string, string>>; readonly body: NonNullable<Reply["body"]> } {
  if (mediaType !== xml) return { headers: { "Content-Type": mediaType }, body: toJsonText(dataSet) };
  const document = toNativeXml(dataSet);
  if (!multipart) return { headers: { "Content-Type": xml }, body: document };
  const { contentType, body } = multipartRelated([{ contentType: xml, body: Buffer.from(document) }], { type: xml });
  return { headers: { "Content-Type": contentType }, body };
}

/** A sequence of `items` under `name`; nothing when there are none. */
export function sequence(name: string, items: readonly DicomJson[]): DicomJson {
  return items.length === 0 ? {} : { [name]: { vr: "SQ", Value: [...items] } };
}
