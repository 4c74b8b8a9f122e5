/** The transactions that routes belong to: section of PS3.18, query parameters, media types and statuses of each. */
import { z } from "zod";
import type { SearchLevel } from "../archive/attributes.ts";
import { mediaTypes } from "../archive/media-classes.ts";
import { queryTagAnswer, queryTagsAnswer, tagErrorsAnswer } from "./answers.ts";
import { capabilitiesTypes } from "./capabilities.ts";
import { contentNegotiation, searchQuery, wholeNumber } from "./query-parameters.ts";
import { tagRequest } from "./query-tags.ts";
import { renderingQuery, thumbnailQuery } from "./rendering-options.ts";
import { zipRequest } from "./retrieve-zip.ts";
import type { QueryParameter, Transaction } from "./route.ts";
import { wadoUriParameters } from "./wado-uri-query.ts";
import { searchParameters } from "./search-attributes.ts";

/** Answered by every route whose handler reaches the archive. */
export const anyArchive = [500, 503, 507];

const dicomJson = ["application/dicom+json", "application/json"];
/** A Native DICOM Model document a part (PS3.18 8.7.3.2). */
const xmlParts = 'multipart/related; type="application/dicom+xml"';
const octets = ["multipart/related", "application/octet-stream"];

export const nothing = { query: [], requestTypes: [] } as const;

/** Not of the standard: whatever watches over the server asks these. */
export const lively: Transaction = {
  ...nothing,
  area: "Health",
  section: "health",
  responseTypes: ["application/json"],
  responseSchema: z.object({ status: z.enum(["live", "ready"]) }),
  statuses: [200],
};
export const readied: Transaction = { ...lively, statuses: [200, ...anyArchive] };

/** Store (PS3.18 10.5). */
export const stored: Transaction = {
  area: "Store",
  section: "PS3.18 10.5",
  query: contentNegotiation,
  requestTypes: [
    "multipart/related",
    "application/dicom",
    "application/dicom+json",
    "application/dicom+xml",
    ...mediaTypes,
  ],
  responseTypes: [...dicomJson, "application/dicom+xml"],
  statuses: [200, 202, 406, 409, 413, 415, ...anyArchive],
  outcomes: [409],
};

/** Search (PS3.18 10.6). */
const searched: Transaction = {
  area: "Search",
  section: "PS3.18 10.6",
  query: searchQuery,
  requestTypes: [],
  responseTypes: [...dicomJson, xmlParts],
  statuses: [200, 406, ...anyArchive],
};

/** The same at a level, with the attributes that are matched there. */
export const searchedAt: Readonly<Record<SearchLevel, Transaction>> = {
  // PS3.18 has no patients; the keys are those of the patient level of PS3.4 C.6.1.1.2.
  patient: searchedFor("patient", "patients"),
  study: searchedFor("study"),
  series: searchedFor("series"),
  instance: searchedFor("instance"),
};

function searchedFor(level: SearchLevel, section = searched.section): Transaction {
  return { ...searched, section, query: searchParameters(level) };
}

/** Answers of a GET to a Range (RFC 9110 14). */
const ranged = [206, 416];

const dicomdirQuery: QueryParameter = {
  name: "dicomdir",
  meaning: "Whether a ZIP archive gets a DICOMDIR, and names of files that fit it (PS3.10 8).",
  schema: z.enum(["true", "false"], "is neither true nor false"),
  example: "true",
};

/** Retrieve (PS3.18 10.4): instances as they are stored. */
export const retrieved: Transaction = {
  area: "Retrieve",
  section: "PS3.18 10.4.1.1.1",
  query: [...contentNegotiation, dicomdirQuery],
  requestTypes: [],
  responseTypes: ["multipart/related", "application/zip"],
  statuses: [200, 404, 406, ...anyArchive],
};
export const retrievedInstance: Transaction = {
  ...retrieved,
  responseTypes: ["multipart/related", "application/dicom", "application/zip"],
  statuses: [...retrieved.statuses, ...ranged],
};
export const retrievedMetadata: Transaction = {
  ...retrieved,
  query: contentNegotiation,
  section: "PS3.18 10.4.1.1.2",
  responseTypes: [...dicomJson, xmlParts, "application/dicom+xml"],
};
export const retrievedFrames: Transaction = {
  ...retrieved,
  query: contentNegotiation,
  section: "PS3.18 10.4.1.1.6",
  responseTypes: octets,
  statuses: [...retrieved.statuses, ...ranged],
};
export const retrievedBulkData: Transaction = {
  ...retrieved,
  query: contentNegotiation,
  section: "PS3.18 10.4.1.1.5",
  responseTypes: octets,
  statuses: [...retrieved.statuses, ...ranged],
};
export const retrievedParts: Transaction = {
  ...retrieved,
  section: "PS3.18 10.4.1.1.5",
};
export const retrievedRendered: Transaction = {
  ...retrieved,
  section: "PS3.18 10.4.1.1.3",
  query: [...renderingQuery, ...contentNegotiation],
  responseTypes: ["image/jpeg", "application/pdf", "text/xml", "video/mp4", "video/mpeg", "multipart/related"],
  statuses: [...retrieved.statuses, ...ranged],
};
export const retrievedThumbnail: Transaction = {
  ...retrievedRendered,
  section: "PS3.18 10.4.1.1.4",
  query: [...thumbnailQuery, ...contentNegotiation],
  responseTypes: ["image/jpeg", "multipart/related"],
};
export const retrievedPixels: Transaction = {
  ...retrieved,
  section: "PS3.18 10.4.1.1.7",
};

/** The URI Service (PS3.18 9). */
export const retrievedByUri: Transaction = {
  ...retrievedRendered,
  section: "PS3.18 9",
  query: wadoUriParameters,
  responseTypes: ["application/dicom", "image/jpeg", "application/pdf", "text/xml", "video/mp4", "video/mpeg"],
};

/** Not of the standard: several studies, series and instances at once. */
export const zipped: Transaction = {
  area: "Retrieve",
  section: "ZIP of a list",
  query: [],
  requestTypes: ["application/json"],
  requestSchema: zipRequest,
  responseTypes: ["application/zip"],
  statuses: [200, 404, 413, 415, ...anyArchive],
};

/** Non-Patient Instances (PS3.18 12). */
export const nonPatientStored: Transaction = {
  ...stored,
  area: "Non-patient instances",
  section: "PS3.18 12.5",
  requestTypes: ["multipart/related", "application/dicom"],
  statuses: [200, 400, 406, 409, 413, 415, ...anyArchive],
};
export const nonPatientSearched: Transaction = {
  ...searched,
  // They come in the order of their storage.
  query: searched.query.filter(({ name }) => name !== "orderby" && name !== "cursor"),
  area: "Non-patient instances",
  section: "PS3.18 12.6",
};
export const nonPatientRetrieved: Transaction = {
  ...retrieved,
  area: "Non-patient instances",
  section: "PS3.18 12.4",
  query: contentNegotiation,
  responseTypes: [...dicomJson, "application/dicom", "application/dicom+xml", "multipart/related"],
  statuses: [...retrieved.statuses, ...ranged],
};
export const nonPatientRemoved: Transaction = {
  ...nonPatientRetrieved,
  section: "deletion",
  query: [],
  responseTypes: [],
  statuses: [204, 404, ...anyArchive],
};
export const nonPatientValue: Transaction = {
  ...nonPatientRetrieved,
  responseTypes: ["application/octet-stream"],
};

/** Storage Commitment (PS3.18 13). */
export const commitmentRequested: Transaction = {
  area: "Storage commitment",
  section: "PS3.18 13.4",
  query: contentNegotiation,
  requestTypes: [...dicomJson, "application/dicom+xml"],
  responseTypes: [...dicomJson, "application/dicom+xml", "multipart/related"],
  statuses: [200, 202, 406, 409, 413, 415, ...anyArchive],
};
export const commitmentChecked: Transaction = {
  ...commitmentRequested,
  section: "PS3.18 13.5",
  requestTypes: [],
  statuses: [200, 202, 404, 406, 410, ...anyArchive],
};

const queryTags: Transaction = {
  area: "Query tags",
  section: "query tags",
  query: [],
  requestTypes: [],
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};
const creatorQuery: QueryParameter = {
  name: "privateCreator",
  meaning: "Private Creator of the tag, where tags of several creators have the path.",
  schema: z.string(),
  example: "SIEMENS MR HEADER",
};

/** Query tags: attributes that are made searchable. Not of the standard. */
export const queryTagsListed: Transaction = { ...queryTags, responseSchema: queryTagsAnswer };
export const queryTagsAdded: Transaction = {
  ...queryTags,
  requestTypes: ["application/json"],
  requestSchema: z.union([tagRequest, z.array(tagRequest)]),
  responseSchema: queryTagsAnswer,
  statuses: [202, 409, 413, 415, ...anyArchive],
};
export const queryTagRead: Transaction = {
  ...queryTags,
  responseSchema: queryTagAnswer,
  query: [creatorQuery],
  statuses: [200, 404, ...anyArchive],
};
export const tagErrorsListed: Transaction = {
  ...queryTagRead,
  responseSchema: tagErrorsAnswer,
  query: [
    creatorQuery,
    { name: "limit", meaning: "Instances to answer at most: 100, or up to 1000.", schema: wholeNumber, example: "100" },
    { name: "offset", meaning: "Instances to pass over.", schema: wholeNumber, example: "0" },
  ],
};
export const queryTagRemoved: Transaction = {
  ...queryTagRead,
  responseTypes: [],
  statuses: [204, 404, ...anyArchive],
};

/** What the server says of itself: Retrieve Capabilities (PS3.18 8.9), and the same for programs and for people. */
export const described: Transaction = {
  area: "Description",
  section: "PS3.18 8.9",
  query: contentNegotiation,
  requestTypes: [],
  responseTypes: capabilitiesTypes,
  responseSchema: z.looseObject({ application: z.looseObject({}).describe("As WADL has it, its elements lists.") }),
  statuses: [200, 303, 406],
};
export const describedOpenly: Transaction = {
  ...described,
  query: [],
  section: "OpenAPI 3.1",
  responseTypes: ["application/json"],
  responseSchema: z.looseObject({ openapi: z.string() }).describe("A document of OpenAPI 3.1."),
  statuses: [200],
};
export const shown: Transaction = { ...describedOpenly, section: "for people", responseTypes: ["text/html"] };
