/** The attributes that a search matches, as parameters of its query. */
import { z } from "zod";
import { attributesOfLevel, type Level, patientAttributes, type SearchLevel } from "../archive/attributes.ts";
import type { QueryParameter } from "./route.ts";

const levels: readonly Level[] = ["study", "series", "instance"];

/** Those of `level` and of the levels above it (PS3.18 10.6.1.2), by keyword. */
export function attributeParameters(level: SearchLevel): QueryParameter[] {
  return matchedAt(level)
    .filter(({ column }) => column !== undefined)
    .map(({ keyword, tag, vr }) => ({
      name: keyword,
      meaning: `Matches (${tag.slice(0, 4)},${tag.slice(4)}), VR ${vr}.`,
      schema: z.string(),
      repeatable: true,
      isAttribute: true,
    }));
}

function matchedAt(level: SearchLevel) {
  if (level === "patient") return [...patientAttributes.values()];
  return levels.slice(0, levels.indexOf(level) + 1).flatMap((above) => attributesOfLevel[above]);
}
