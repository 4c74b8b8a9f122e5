/** The query parameters of the URI Service (PS3.18 9.1.2 and 9.5.1), each with its form. */
import { z } from "zod";
import type { RenderingOptions } from "../archive/rendered.ts";
import { isUid, parseUid, type Uid, uidRule } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import type { QueryParameter } from "./route.ts";

const uid = z.custom<Uid>((value) => typeof value === "string" && isUid(value), uidRule);
const wholeNumber = z.string().regex(/^[1-9]\d{0,8}$/, "is not a whole number from 1 on");
const decimal = z.string().regex(/^[+-]?\d{1,16}(\.\d{0,16})?([eE][+-]?\d{1,2})?$/, "is not a decimal number");

/** PS3.18 9.5.1.2.4: left, top, right and bottom as fractions of the image. */
const region = z
  .string()
  .regex(
    /^(0(\.\d{1,16})?|1(\.0{1,16})?|\.\d{1,16})(,(0(\.\d{1,16})?|1(\.0{1,16})?|\.\d{1,16})){3}$/,
    "is not four numbers from 0 to 1, joined by comma",
  );

function parameter(name: string, meaning: string, schema: z.ZodType, example: string): QueryParameter {
  return { name, meaning, schema, example };
}

/** Those that every request has. */
const required = {
  requestType: z.literal("WADO", "is not WADO"),
  studyUID: uid,
  seriesUID: uid,
  objectUID: uid,
};

/** Those that ask for a change of the image: they mean nothing for application/dicom, and are refused with it. */
export const renderingParameters: readonly QueryParameter[] = [
  parameter("frameNumber", "The frame to render, from 1 on; the first when absent.", wholeNumber, "1"),
  parameter("rows", "Height of the image at most, in pixels.", wholeNumber, "512"),
  parameter("columns", "Width of the image at most, in pixels.", wholeNumber, "512"),
  parameter(
    "region",
    "Part of the image: left, top, right and bottom as fractions of it.",
    region,
    "0.25,0.25,0.75,0.75",
  ),
  parameter("windowCenter", "Center of the window; with windowWidth.", decimal, "40"),
  parameter("windowWidth", "Width of the window; with windowCenter.", decimal, "400"),
  parameter(
    "imageQuality",
    "Quality of a lossy image, from 1 to 100.",
    z.string().regex(/^([1-9]\d?|100)$/, "is not a whole number from 1 to 100"),
    "90",
  ),
  parameter(
    "annotation",
    "What is written upon the image: patient, technique or both, joined by comma.",
    z.string().regex(/^(patient|technique)(,(patient|technique))?$/, "is not patient, technique or both"),
    "patient",
  ),
  parameter("presentationUID", "SOP Instance UID of a presentation state to render with.", uid, "1.2.3"),
  parameter("presentationSeriesUID", "Series Instance UID of that presentation state.", uid, "1.2.3"),
];

/** All of them. */
export const wadoUriParameters: readonly QueryParameter[] = [
  parameter("requestType", "WADO.", required.requestType, "WADO"),
  parameter("studyUID", "Study Instance UID.", required.studyUID, "1.2.3"),
  parameter("seriesUID", "Series Instance UID.", required.seriesUID, "1.2.3"),
  parameter("objectUID", "SOP Instance UID.", required.objectUID, "1.2.3"),
  parameter(
    "contentType",
    "Media types to answer with; application/dicom for the stored instance.",
    z.string(),
    "application/dicom",
  ),
  parameter("charset", "Character sets to answer text in.", z.string(), "utf-8"),
  parameter(
    "transferSyntax",
    "Transfer syntax of application/dicom; as stored when absent.",
    uid,
    "1.2.840.10008.1.2.1",
  ),
  parameter(
    "anonymize",
    "Whether to take the patient out of the instance, which is refused.",
    z.literal("yes", "is not yes"),
    "yes",
  ),
  ...renderingParameters,
];

/** What identifies the instance. */
export const wadoUriTarget = z.object(required);

/** Pixels of a side that is not limited. */
const anySide = 16_384;

/** What the parameters of rendering ask for, which have been checked by the route; the frame, when one is named. */
export function uriRendering(query: URLSearchParams): { frame: number | undefined; options: RenderingOptions } {
  const number = (name: string) => (query.has(name) ? Number(query.get(name)) : undefined);
  const [rows, columns] = [number("rows"), number("columns")];
  const [center, width] = [number("windowCenter"), number("windowWidth")];
  if ((center === undefined) !== (width === undefined)) {
    throw new ArchiveError("invalid-query", "windowCenter and windowWidth go together.");
  }
  if (width !== undefined && width <= 0) throw new ArchiveError("invalid-query", "windowWidth is not above 0.");
  const isSized = rows !== undefined || columns !== undefined;
  const options: RenderingOptions = {
    annotation: annotations.filter((kind) => query.get("annotation")?.split(",").includes(kind)),
    quality: number("imageQuality"),
    viewport: isSized ? { width: columns ?? anySide, height: rows ?? anySide } : undefined,
    window: center === undefined || width === undefined ? undefined : { center, width, shape: "linear" },
    region: regionOf(query.get("region")),
    presentationState: presentationStateOf(query),
  };
  const frame = number("frameNumber");
  return { frame, options: options.annotation?.length === 0 ? { ...options, annotation: undefined } : options };
}

const annotations = ["patient", "technique"] as const;

function regionOf(text: string | null): RenderingOptions["region"] {
  if (text === null) return undefined;
  const [left = 0, top = 0, right = 1, bottom = 1] = text.split(",").map(Number);
  if (left < right && top < bottom) return [left, top, right, bottom];
  throw new ArchiveError("invalid-query", "region is empty: left is below right, and top below bottom.");
}

function presentationStateOf(query: URLSearchParams): RenderingOptions["presentationState"] {
  const [instance, series] = [query.get("presentationUID"), query.get("presentationSeriesUID")];
  if (instance === null && series === null) return undefined;
  if (instance === null || series === null) {
    throw new ArchiveError("invalid-query", "presentationUID and presentationSeriesUID go together.");
  }
  return { seriesInstanceUid: parseUid(series), sopInstanceUid: parseUid(instance) };
}
