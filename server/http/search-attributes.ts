/** The parameters of a search at a level: what it matches, and by what it can be ordered. */
import { z } from "zod";
import type { SearchLevel } from "../archive/attributes.ts";
import { matchedAttributes, matchedSequences } from "../archive/matched-attributes.ts";
import { orderKeywords } from "../archive/search-order.ts";
import { searchQuery } from "./query-parameters.ts";
import type { QueryParameter } from "./route.ts";

/** PS3.18 8.3.4, with what is said of this level alone, and the attributes that are matched by keyword. */
export function searchParameters(level: SearchLevel): QueryParameter[] {
  return [...searchQuery.map((parameter) => ofLevel(parameter, level)), ...attributeParameters(level)];
}

function ofLevel(parameter: QueryParameter, level: SearchLevel): QueryParameter {
  const { name, meaning } = parameter;
  if (name === "<attribute>") {
    const sequences = matchedSequences(level).map(({ keyword }) => keyword);
    const paths = `Paths into the items of these sequences are matched, as in ${examplePath(level)}:`;
    return { ...parameter, sequences, meaning: `${meaning} ${paths} ${sequences.join(", ")}.` };
  }
  if (name === "orderby") return { ...parameter, meaning: `${meaning} Here: ${orderKeywords(level).join(", ")}.` };
  return parameter;
}

/** A path of `level`, to show how one is written. */
function examplePath(level: SearchLevel): string {
  return level === "patient" ? "OtherPatientIDsSequence.PatientID" : "ProcedureCodeSequence.CodeValue";
}

/** Those of `level` and of the levels above it (PS3.18 10.6.1.2), by keyword. */
function attributeParameters(level: SearchLevel): QueryParameter[] {
  return matchedAttributes(level).map(({ keyword, tag, vr }) => ({
    name: keyword,
    meaning: `Matches (${tag.slice(0, 4)},${tag.slice(4)}), VR ${vr}.`,
    schema: z.string(),
    isAttribute: true,
  }));
}
