/** Query parameters of rendered resources (PS3.18 8.3.5), checked by schema. */
import { z } from "zod";
import type { RenderingOptions } from "../archive/rendered.ts";
import type { QueryParameter } from "./route.ts";

/** Pixels of one side of a viewport at most. */
const longestSide = 16_384;

const side = z
  .string()
  .regex(/^[1-9]\d{0,4}$/)
  .transform(Number)
  .refine((pixels) => pixels <= longestSide);
const decimal = z
  .string()
  .regex(/^[+-]?(\d{1,12}(\.\d{0,12})?|\.\d{1,12})([eE][+-]?\d{1,2})?$/)
  .transform(Number);
/** Left out between its commas, or a number. */
const optional = z
  .literal("")
  .transform(() => undefined)
  .or(decimal);

const viewportRule = `is not width,height or width,height,x,y,width,height: pixels from 1 to ${longestSide}, then a region of the image`;
const thumbnailRule = `is not width,height: pixels from 1 to ${longestSide}`;

const viewport = z
  .string()
  .max(200, viewportRule)
  .transform((text) => text.split(","))
  .pipe(
    z.union(
      [
        z.tuple([side, side]).transform(([width, height]) => ({ width, height })),
        z
          .tuple([side, side, optional, optional, optional, optional])
          .refine(([, , x = 0, y = 0, wide = 1, high = 1]) => x >= 0 && y >= 0 && wide !== 0 && high !== 0)
          .transform(([width, height, x, y, sourceWidth, sourceHeight]) => ({
            width,
            height,
            ...(x !== undefined && { x }),
            ...(y !== undefined && { y }),
            ...(sourceWidth !== undefined && { sourceWidth }),
            ...(sourceHeight !== undefined && { sourceHeight }),
          })),
      ],
      viewportRule,
    ),
  );

const size = z
  .string()
  .max(200, thumbnailRule)
  .transform((text) => text.split(","))
  .pipe(z.tuple([side, side], thumbnailRule))
  .transform(([width, height]) => ({ width, height }));

const windowRule = "is not center,width,function: two numbers, the width above 0, and linear, linear-exact or sigmoid";
const window = z
  .string()
  .max(200, windowRule)
  .transform((text) => text.split(","))
  .pipe(
    z.tuple([decimal, decimal.refine((width) => width > 0), z.enum(["linear", "linear-exact", "sigmoid"])], windowRule),
  )
  .transform(([center, width, shape]) => ({ center, width, shape }));

const annotationRule = "is not a list of patient and technique, joined by comma";
const annotation = z
  .string()
  .max(200, annotationRule)
  .transform((text) => text.split(","))
  .pipe(z.array(z.enum(["patient", "technique"])));

const quality = z
  .string()
  .regex(/^([1-9]\d?|100)$/, "is not a whole number from 1 to 100")
  .transform(Number);

const iccProfile = z.enum(
  ["no", "yes", "srgb", "adobergb", "rommrgb", "displayp3"],
  "is not no, yes, srgb, adobergb, rommrgb or displayp3",
);

const schemas = { annotation, quality, viewport, window, iccprofile: iccProfile };

/** Parameters of rendered resources, for the route. */
export const renderingQuery: readonly QueryParameter[] = [
  {
    name: "annotation",
    meaning: "What to write into the image: patient, technique, or both (PS3.18 8.3.5.1.1).",
    schema: withRule(annotation, annotationRule),
    example: "patient,technique",
  },
  { name: "quality", meaning: "Of lossy compression (PS3.18 8.3.5.1.2).", schema: quality, example: "90" },
  {
    name: "viewport",
    meaning: "Size in pixels, and the region of the image that is scaled to it (PS3.18 8.3.5.1.3).",
    schema: withRule(viewport, viewportRule),
    example: "512,512",
  },
  {
    name: "window",
    meaning: "Center, width and function of the window (PS3.18 8.3.5.1.4).",
    schema: withRule(window, windowRule),
    example: "40,400,linear",
  },
  {
    name: "iccprofile",
    meaning: "Color profile of the image (PS3.18 8.3.5.1.5).",
    schema: iccProfile,
    example: "srgb",
  },
];

/** Parameters of thumbnails: the size alone (PS3.18 8.3.5.1.3). */
export const thumbnailQuery: readonly QueryParameter[] = [
  {
    name: "viewport",
    meaning: "Size in pixels into which the image is fitted (PS3.18 8.3.5.1.3).",
    schema: withRule(size, thumbnailRule),
    example: "256,256",
  },
];

/** What `query` asks of a rendering; it has been checked by the parameters of the route. */
export function renderingOptions(query: URLSearchParams): RenderingOptions {
  const value = <Schema extends z.ZodType>(name: string, schema: Schema): z.infer<Schema> | undefined => {
    const text = query.get(name);
    return text === null ? undefined : schema.parse(text);
  };
  return {
    annotation: value("annotation", schemas.annotation),
    quality: value("quality", schemas.quality),
    viewport: value("viewport", schemas.viewport),
    window: value("window", schemas.window),
    iccProfile: value("iccprofile", schemas.iccprofile),
  };
}

/** The same check with one message, which names what the value should be and not which part of it is wrong. */
function withRule(schema: z.ZodType, rule: string): z.ZodType {
  return z.string().refine((text) => schema.safeParse(text).success, rule);
}
