/** Judges by the answers to a search and to a store whether a DICOMweb server is there at all. */
import type { Reply } from "./import-exchange.ts";
import { parseJson } from "./import-outcomes.ts";

/** What answers is no DICOMweb server that stores. `message` is a clause such as "it answers a search with 404". */
export class NoDicomWeb extends Error {
  override readonly name = "NoDicomWeb";
}

/** PS3.18 F.2.2: an object whose names are tags. */
function isDataSet(value: unknown): boolean {
  return typeof value === "object" && value !== null && Object.keys(value).every((key) => /^[0-9a-f]{8}$/iu.test(key));
}

/** PS3.18 10.6.3.2: a list of data sets, which some servers leave out when it is empty, or XML from one that prefers it. */
function isMatches({ body, mediaType }: Reply): boolean {
  if (mediaType === "multipart/related" || mediaType === "application/dicom+xml") return true;
  if (body.length === 0) return mediaType === "" || mediaType === "application/dicom+json";
  const matches = parseJson(body);
  return Array.isArray(matches) && matches.every(isDataSet);
}

/** The answer to a search as a phrase, when it cannot be that of a DICOMweb server that works. */
function faultOfSearch(reply: Reply): string | undefined {
  const { status, mediaType, location } = reply;
  if (status === 404) return "404";
  if (status >= 500 && status !== 501) return `${status}, again and again`;
  if (status >= 300 && status < 400) return location === undefined ? `${status}` : `${status}, to ${location}`;
  if (status !== 200 || isMatches(reply)) return undefined;
  return mediaType === "" ? "what is no DICOM JSON" : `${mediaType} that is no DICOM JSON`;
}

/**
 * Throws NoDicomWeb when the answer to a search cannot be that of a DICOMweb server that works. One that refuses the
 * search (401, 403, 405, 501 and the like) may store all the same.
 */
export function assertSearch(reply: Reply): void {
  const fault = faultOfSearch(reply);
  if (fault !== undefined) throw new NoDicomWeb(`it answers a search with ${fault}`);
}

/** Throws NoDicomWeb when the status says that nothing at all is stored at this address, whatever the instances. */
export function assertStore({ status }: Reply): void {
  if ([401, 404, 405, 501].includes(status)) throw new NoDicomWeb(`it answers a store with ${status}`);
}
