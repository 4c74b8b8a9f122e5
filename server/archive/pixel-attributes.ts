/** The attributes of the Image Pixel and Cine Modules (PS3.3 C.7.6.3, C.7.6.5) that the header of media implies. */
import { tagLabel } from "../dicom/dictionary.ts";
import type { DicomJson, JsonAttribute, JsonValue } from "../dicom/json.ts";
import type { PixelDescription } from "../dicom/media-header.ts";

const one = (vr: string, value: string | number): JsonAttribute => ({ vr, Value: [value] });

/** Attributes whose value in the metadata contradicts the stream: the image could not be shown. */
const contradictable = ["00280002", "00280008", "00280010", "00280011", "00280100"];

/**
 * The attributes that a client may leave out, since the stream says them (PS3.18 10.5.1.4: the Image Pixel Description
 * Macro), for `frames` parts; and that information was lost, which must not be forgotten (PS3.3 C.7.6.1.1.5).
 */
export function pixelAttributes(pixels: PixelDescription, frames: number): DicomJson {
  const { rows, columns, samplesPerPixel, bitsStored, signed, photometricInterpretation, lossyMethod } = pixels;
  const count = pixels.numberOfFrames ?? frames;
  return {
    "00280002": one("US", samplesPerPixel),
    "00280004": one("CS", photometricInterpretation),
    ...(samplesPerPixel > 1 && { "00280006": one("US", 0) }),
    ...((count > 1 || pixels.frameTime !== undefined) && { "00280008": one("IS", count) }),
    "00280010": one("US", rows),
    "00280011": one("US", columns),
    "00280100": one("US", bitsAllocated(pixels)),
    "00280101": one("US", bitsStored),
    "00280102": one("US", bitsStored - 1),
    "00280103": one("US", signed ? 1 : 0),
    ...(lossyMethod !== undefined && { "00282110": one("CS", "01") }),
  };
}

/** Number of Frames (0028,0008) of so many parts; an image of one need not say it. */
export function numberOfFrames(parts: number): DicomJson {
  return parts > 1 ? { "00280008": one("IS", parts) } : {};
}

/** What more an image of a class that we chose says: how it was compressed, from `byteLength` bytes, and how it runs. */
export function compressionAndCine(pixels: PixelDescription, frames: number, byteLength: number): DicomJson {
  const { rows, columns, samplesPerPixel, lossyMethod, frameTime, numberOfFrames: count = frames } = pixels;
  const uncompressed = (rows * columns * samplesPerPixel * bitsAllocated(pixels) * count) / 8;
  return {
    "00282110": one("CS", lossyMethod === undefined ? "00" : "01"),
    ...(lossyMethod !== undefined && {
      "00282112": one("DS", Number((uncompressed / byteLength).toPrecision(4))),
      "00282114": one("CS", lossyMethod),
    }),
    ...(frameTime !== undefined && {
      "00181063": one("DS", Number(frameTime.toPrecision(8))),
      "00280009": { vr: "AT", Value: ["00181063"] },
    }),
  };
}

function bitsAllocated({ bitsStored }: PixelDescription): number {
  return bitsStored <= 8 ? 8 : 16;
}

/** `given` with what it lacks of `implied`. An attribute that is there and empty counts as lacking. */
export function completed(given: DicomJson, implied: DicomJson): DicomJson {
  const whole = { ...given };
  for (const [tag, attribute] of Object.entries(implied)) if (isEmpty(whole[tag])) whole[tag] = attribute;
  return whole;
}

/** Whether an attribute is missing or has no value. */
export function isEmpty(attribute: JsonAttribute | undefined): boolean {
  if (!attribute) return true;
  const { Value: values, InlineBinary: inline, BulkDataURI: uri } = attribute;
  return values === undefined && inline === undefined && uri === undefined;
}

/** A sentence for each attribute that says something else than the stream. What the client says is stored. */
export function contradictions(given: DicomJson, implied: DicomJson): string[] {
  return contradictable.flatMap((tag) => {
    const [mine, theirs] = [valueOf(given, tag), valueOf(implied, tag)];
    if (mine === undefined || theirs === undefined || Number(mine) === Number(theirs)) return [];
    const label = tagLabel(Number.parseInt(tag, 16));
    return [`${label} is ${JSON.stringify(mine)} in the metadata, and ${JSON.stringify(theirs)} in the image itself.`];
  });
}

function valueOf(dataSet: DicomJson, tag: string): JsonValue | undefined {
  return dataSet[tag]?.Value?.[0];
}
