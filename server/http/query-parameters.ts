/** Parameters of queries that several transactions have. */
import { z } from "zod";
import type { QueryParameter } from "./route.ts";

/** PS3.18 8.3.3: what overrides headers of the same name. */
export const contentNegotiation: readonly QueryParameter[] = [
  {
    name: "accept",
    meaning: "Media types to answer with; overrides the Accept header (PS3.18 8.3.3.1).",
    schema: z.string(),
    repeatable: true,
    example: "application/dicom+json",
  },
  {
    name: "charset",
    meaning: "Character sets to answer in (PS3.18 8.3.3.2). Every answer is UTF-8, which only a weight of 0 refuses.",
    schema: z.string(),
    repeatable: true,
    example: "utf-8",
  },
];

/** A number as the queries of searches have it. */
export const wholeNumber = z.string().regex(/^\d+$/, "is not a whole number of 0 or more");

/** How much of a list of the server's own. */
export const pageLimit = z.string().regex(/^([1-9]\d{0,2}|1000)$/, "is not a whole number from 1 to 1000");
/** A place in such a list. */
export const position = z.string().regex(/^\d{1,15}$/, "is not a whole number of 0 or more");

/** PS3.18 8.3.4. */
export const searchQuery: readonly QueryParameter[] = [
  {
    name: "<attribute>",
    meaning:
      "A keyword (PatientName) or tag (00100010), of items of sequences joined by dots, and the value to match " +
      "(PS3.4 C.2.2.2); empty matches anything.",
    schema: z.string(),
    example: "Doe*",
  },
  {
    name: "includefield",
    meaning: "Keywords or tags to answer beside those answered by default, joined by comma; or all.",
    schema: z.string(),
    repeatable: true,
    example: "StudyDescription",
  },
  {
    name: "fuzzymatching",
    meaning:
      "Whether names are matched by sound, whatever their accents and the order of their words (PS3.18 8.3.4.2).",
    schema: z.enum(["true", "false"], "is neither true nor false"),
    example: "false",
  },
  {
    name: "emptyvaluematching",
    meaning: 'Whether the value "" (two quotation marks) matches what is empty or absent (PS3.18 8.3.4.5).',
    schema: z.enum(["true", "false"], "is neither true nor false"),
    example: "false",
  },
  {
    name: "multiplevaluematching",
    meaning: "Whether values joined by a backslash must all be there (PS3.18 8.3.4.6).",
    schema: z.enum(["true", "false"], "is neither true nor false"),
    example: "false",
  },
  {
    name: "limit",
    meaning: "Matches to answer at most: 1,000 unless given, 100,000 at most.",
    schema: wholeNumber,
    example: "100",
  },
  { name: "offset", meaning: "Matches to pass over.", schema: wholeNumber, example: "0" },
  {
    name: "orderby",
    meaning:
      "Keywords or tags to order by, joined by comma, a minus before those that descend; newest first unless given. " +
      "Not of PS3.18.",
    schema: z.string(),
    repeatable: true,
    example: "-StudyDate,PatientName",
  },
  {
    name: "cursor",
    meaning: "Where to go on: of the Link header of the answer before, and not together with offset. Not of PS3.18.",
    schema: z.string(),
  },
  {
    name: "count",
    meaning: "Whether X-Total-Count says how many matches there are. Not of PS3.18.",
    schema: z.enum(["true", "false"], "is neither true nor false"),
    example: "true",
  },
  ...contentNegotiation,
];
