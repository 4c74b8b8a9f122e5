/** Which attributes a search of a level matches, for whoever describes it. */
import { entryOfTag } from "../dicom/dictionary.ts";
import { attributesOfLevel, type Level, patientAttributes, type SearchLevel } from "./attributes.ts";
import { isBelow } from "./levels.ts";
import { computedKeys, neverMatched } from "./query-computed.ts";
import { isMatchedVr } from "./query-match.ts";

/** An attribute that can be a key. */
export interface MatchedAttribute {
  readonly keyword: string;
  readonly tag: string;
  readonly vr: string;
}

const levels: readonly Level[] = ["study", "series", "instance"];

/** Those of `level` and of the levels above it (PS3.18 10.6.1.2); of sequences it is their items that are matched. */
export function matchedAttributes(level: SearchLevel): readonly MatchedAttribute[] {
  const isMatched = ({ tag, vr }: MatchedAttribute) => isMatchedVr(vr) && !neverMatched.has(tag);
  if (level === "patient") return [...patientAttributes.values()].filter(isMatched);
  const kept = levels.filter((each) => !isBelow(each, level)).flatMap((each) => attributesOfLevel[each]);
  return [...kept.filter(isMatched), ...countedAttributes(level)];
}

function countedAttributes(level: Level): readonly MatchedAttribute[] {
  return [...computedKeys].flatMap(([tag, computed]) => {
    const entry = entryOfTag(Number.parseInt(tag, 16));
    return !entry || isBelow(computed.level, level) ? [] : [{ keyword: entry.keyword, tag, vr: entry.vr }];
  });
}
