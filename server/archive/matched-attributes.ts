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

/** Those of `level` and of the levels above it (PS3.18 10.6.1.2) that have a value of their own to match. */
export function matchedAttributes(level: SearchLevel): readonly MatchedAttribute[] {
  const matched = keptAttributes(level).filter(({ tag, vr }) => isMatchedVr(vr) && !neverMatched.has(tag));
  return level === "patient" ? matched : [...matched, ...countedAttributes(level)];
}

/** The sequences of `level` and of the levels above it: the attributes of their items can be keys. */
export function matchedSequences(level: SearchLevel): readonly MatchedAttribute[] {
  return keptAttributes(level).filter(({ vr }) => vr === "SQ");
}

function keptAttributes(level: SearchLevel): readonly MatchedAttribute[] {
  if (level === "patient") return [...patientAttributes.values()];
  return levels.filter((each) => !isBelow(each, level)).flatMap((each) => attributesOfLevel[each]);
}

function countedAttributes(level: Level): readonly MatchedAttribute[] {
  return [...computedKeys].flatMap(([tag, computed]) => {
    const entry = entryOfTag(Number.parseInt(tag, 16));
    return !entry || isBelow(computed.level, level) ? [] : [{ keyword: entry.keyword, tag, vr: entry.vr }];
  });
}
