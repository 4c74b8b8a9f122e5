/** The members of a JSON body, for the page for people: names, meanings, what may be left out. */
import { z } from "zod";

/** A member of a body. */
export interface BodyMember {
  readonly name: string;
  readonly meaning: string;
  /** `required`, `optional`, or `default ...`. */
  readonly need: string;
}

const memberSchema = z.looseObject({
  description: z.string().default(""),
  default: z.json().optional(),
  enum: z.array(z.json()).optional(),
  const: z.json().optional(),
});

const objectSchema = z.looseObject({
  properties: z.record(z.string(), memberSchema),
  required: z.array(z.string()).default([]),
});

const unionSchema = z.union([
  z.looseObject({ oneOf: z.array(z.unknown()) }).transform(({ oneOf }) => oneOf),
  z.looseObject({ anyOf: z.array(z.unknown()) }).transform(({ anyOf }) => anyOf),
]);

/** The members of the body by each of its forms; what is no object has none. */
export function bodyForms(schema: z.ZodType): readonly (readonly BodyMember[])[] {
  return formsOf(z.toJSONSchema(schema, { io: "input", unrepresentable: "any" }));
}

function formsOf(schema: unknown): readonly (readonly BodyMember[])[] {
  const union = unionSchema.safeParse(schema);
  if (union.success) return union.data.flatMap(formsOf);
  const object = objectSchema.safeParse(schema);
  if (!object.success) return [];
  const { properties, required } = object.data;
  return [
    Object.entries(properties).map(([name, member]) => ({
      name,
      meaning: meaningOf(member),
      need: required.includes(name) ? "required" : needOf(member),
    })),
  ];
}

function meaningOf({ description, enum: values, const: only }: z.infer<typeof memberSchema>): string {
  const listed = values ?? (only === undefined ? [] : [only]);
  const words = listed.map((value) => JSON.stringify(value)).join(", ");
  return listed.length > 0 ? `${description} ${listed.length > 1 ? "One of" : "Here"}: ${words}.`.trim() : description;
}

function needOf(member: z.infer<typeof memberSchema>): string {
  return member.default === undefined ? "optional" : `default ${JSON.stringify(member.default)}`;
}
