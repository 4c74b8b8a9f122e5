/** The attributes that a search matches, as parameters of its query. */
import { z } from "zod";
import type { SearchLevel } from "../archive/attributes.ts";
import { matchedAttributes } from "../archive/matched-attributes.ts";
import type { QueryParameter } from "./route.ts";

/** Those of `level` and of the levels above it (PS3.18 10.6.1.2), by keyword. */
export function attributeParameters(level: SearchLevel): QueryParameter[] {
  return matchedAttributes(level).map(({ keyword, tag, vr }) => ({
    name: keyword,
    meaning: `Matches (${tag.slice(0, 4)},${tag.slice(4)}), VR ${vr}.`,
    schema: z.string(),
    isAttribute: true,
  }));
}
