/** Negotiation where DICOM JSON is the only answer (PS3.18 8.7.3). */
import { ArchiveError } from "../errors.ts";
import { type AcceptRange, negotiate } from "./media-type.ts";

const offers = [
  { mediaType: "application/dicom+json", multipart: false },
  { mediaType: "application/json", multipart: false },
] as const;

/** The Content-Type to answer with. @throws ArchiveError `not-acceptable` */
export function requireJson(accept: readonly AcceptRange[]): string {
  const offer = negotiate(accept, offers);
  if (offer) return offer.mediaType;
  throw new ArchiveError("not-acceptable", "This resource is available as application/dicom+json.");
}
