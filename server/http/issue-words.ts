/** What is wrong with a body of JSON, in words: predicates that follow the name of a member. */
import type { z } from "zod";

/** What values of a type are called. */
const nouns: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

/** The unit in which a too short or too long value is counted. */
const units: Readonly<Record<string, string>> = { string: " characters", array: " members" };

/** The predicate for an issue whose schema has none of its own; for `error` of a parse. */
export function issueWords(issue: z.core.$ZodRawIssue): string {
  if (issue.input === undefined && issue.code !== "unrecognized_keys") return "is missing";
  switch (issue.code) {
    case "invalid_type":
      return `is not ${nouns[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return `is none of ${issue.values.map(String).join(", ")}`;
    case "too_small":
      if (issue.origin === "array" && issue.minimum === 1) return "is an empty list";
      return issue.origin in units
        ? `has fewer than ${issue.minimum}${units[issue.origin]}`
        : `is below ${issue.minimum}`;
    case "too_big":
      return issue.origin in units
        ? `has more than ${issue.maximum}${units[issue.origin]}`
        : `is above ${issue.maximum}`;
    case "unrecognized_keys":
      return `has the member ${JSON.stringify(issue.keys[0]?.slice(0, 64))}, which is not taken`;
    case "invalid_union":
      return unionWords(issue.errors);
    default:
      return "is malformed";
  }
}

/** What fits a form but for something inside it is told of that; else the forms are named. */
function unionWords(forms: readonly (readonly z.core.$ZodIssue[])[]): string {
  const [inside] = forms.flatMap(([first]) => (first && first.code !== "invalid_type" ? [first] : []));
  const item = forms.flat().find(({ path }) => path.length > 0);
  if (item) return `has a member that ${item.message}`;
  if (inside) return inside.message;
  const expected = forms.flatMap(([first]) => (first?.code === "invalid_type" ? [first.expected] : []));
  return `is neither ${expected.map((type) => nouns[type] ?? type).join(" nor ")}`;
}

/** Where an issue is: members joined by dots, positions in lists in brackets from 1 on; empty for the body itself. */
export function placeOf(path: readonly PropertyKey[]): string {
  return path
    .map((step, index) => (typeof step === "number" ? `[${step + 1}]` : `${index > 0 ? "." : ""}${String(step)}`))
    .join("");
}
