/** Rendered resources (PS3.18 10.4.1.1.3) and thumbnails (10.4.1.1.4), as far as they need no work on pixels. */
import type { Blobs } from "../../storage/blobs.ts";
import type { Catalog } from "../../storage/catalog.ts";
import type { Uid } from "../dicom/uid.ts";
import { ArchiveError } from "../errors.ts";
import { documentOf, imageFault, jpegFault, metadataOf, videoOf } from "./renditions.ts";
import { frameBytes, frameCount } from "./frame-bytes.ts";
import { type Locate, type Located, locatedOf } from "./locate.ts";
import { absent, type ResourceState, type ResourceUids, stateOf } from "./retrieve.ts";
import type { RetrievedSource } from "./retrieve-parts.ts";
import type { ReadableBytes } from "./stored-bytes.ts";

/** A part of the source image and the size in pixels to which it is scaled (PS3.18 8.3.5.1.3). */
export interface Viewport {
  readonly width: number;
  readonly height: number;
  /** Offset and size in the source, in pixels; a negative size flips. The whole where absent. */
  readonly x?: number;
  readonly y?: number;
  readonly sourceWidth?: number;
  readonly sourceHeight?: number;
}

/** What a client asks of a rendering (PS3.18 8.3.5). */
export interface RenderingOptions {
  readonly annotation?: readonly ("patient" | "technique")[] | undefined;
  /** Of lossy compression, from 1 to 100, the best. */
  readonly quality?: number | undefined;
  readonly viewport?: Viewport | undefined;
  readonly window?: { readonly center: number; readonly width: number; readonly shape: WindowShape } | undefined;
  /** A part of the image: left, top, right and bottom as fractions of its sides (PS3.18 9.5.1.2.4). */
  readonly region?: readonly [left: number, top: number, right: number, bottom: number] | undefined;
  /** A presentation state of the same study to render with. */
  readonly presentationState?: { readonly seriesInstanceUid: Uid; readonly sopInstanceUid: Uid } | undefined;
  readonly iccProfile?: "no" | "yes" | "srgb" | "adobergb" | "rommrgb" | "displayp3" | undefined;
}

/** VOI LUT Function (0028,1056), as PS3.18 8.3.5.1.4 spells it. */
export type WindowShape = "linear" | "linear-exact" | "sigmoid";

/** One rendered image, video or document. */
export interface Rendition extends RetrievedSource {
  readonly mediaType: string;
  readonly bytes: ReadableBytes;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  /** From 1 on, of an image. */
  readonly frame?: number;
}

/** The renditions of a resource. */
export interface Renditions extends ResourceState {
  /** Every media type among them, each once. */
  readonly mediaTypes: readonly string[];
  /** Whether there is one at most. */
  readonly single: boolean;
  readonly all: AsyncIterable<Rendition>;
}

/** Instances of a series that are tried for its thumbnail. */
const thumbnailCandidates = 10;

/** Makes the use cases of rendering. */
export function createRendered(blobs: Blobs, catalog: Catalog, locate: Locate) {
  /**
   * What is rendered of a study, a series, an instance, or frames of an instance. Instances without anything to show
   * are left out; one that cannot be rendered makes all fail, since what remains could pass for whole.
   * @throws ArchiveError `cannot-render`, `no-such-frame`, and those of what is absent
   */
  async function rendered(
    uids: ResourceUids,
    frames: readonly number[] | undefined,
    options: RenderingOptions,
  ): Promise<Renditions> {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = uids;
    const series = await catalog.findSeries(uids);
    if (series.length === 0) throw absent(uids);
    if (seriesInstanceUid !== undefined && sopInstanceUid !== undefined) {
      const located = await locate({ studyInstanceUid, seriesInstanceUid, sopInstanceUid });
      const found = await renditionsOf(located, frames, options);
      if (found.length === 0) throw nothingToShow();
      return { ...stateOf(series), mediaTypes: distinctTypes(found), single: found.length === 1, all: listed(found) };
    }
    const mediaTypes = new Set<string>();
    for await (const row of catalog.findInstances(uids, series)) {
      for (const type of distinctTypes(await renditionsOf(locatedOf(row), undefined, options))) mediaTypes.add(type);
    }
    if (mediaTypes.size === 0) throw nothingToShow();
    async function* all(): AsyncGenerator<Rendition> {
      for await (const row of catalog.findInstances(uids, series)) {
        yield* await renditionsOf(locatedOf(row), undefined, options);
      }
    }
    return { ...stateOf(series), mediaTypes: [...mediaTypes], single: false, all: all() };
  }

  /**
   * One image that stands for a study, a series, an instance or a frame: that of the first series that has one.
   * @throws ArchiveError `cannot-render`, `no-such-frame`, and those of what is absent
   */
  async function thumbnail(
    uids: ResourceUids,
    frame: number | undefined,
    options: RenderingOptions,
  ): Promise<Rendition> {
    const series = await catalog.findSeries(uids);
    let fault: ArchiveError | undefined;
    let found = false;
    for (const one of series) {
      let tried = 0;
      for await (const row of catalog.findInstances(uids, [one])) {
        found = true;
        const located = locatedOf(row);
        try {
          const middle = located.table ? Math.ceil(frameCount(located) / 2) : 1;
          const [image] = located.table ? await renditionsOf(located, [frame ?? middle], options) : [];
          if (image) return image;
        } catch (error) {
          if (!(error instanceof ArchiveError) || error.code !== "cannot-render") throw error;
          fault ??= error;
        }
        tried += 1;
        if (tried === thumbnailCandidates) break;
      }
    }
    if (!found) throw absent(uids);
    throw fault ?? nothingToShow();
  }

  /** Empty when the instance has nothing to show. */
  async function renditionsOf(
    located: Located,
    frames: readonly number[] | undefined,
    options: RenderingOptions,
  ): Promise<Rendition[]> {
    const { row, syntax, table } = located;
    const { seriesInstanceUid, sopInstanceUid, sha256, createdAt } = row;
    const source = { seriesInstanceUid, sopInstanceUid, sha256, storedAt: createdAt };
    if (frames === undefined && !table) {
      const document = await documentOf(blobs, catalog, located);
      if (document) return [{ ...source, ...document }];
      if (syntax.pixels !== "video") return [];
      return [{ ...source, ...(await videoOf(blobs, catalog, located, options)) }];
    }
    const count = frameCount(located);
    const numbers = frames ?? Array.from({ length: count }, (_, index) => index + 1);
    if (numbers.some((number) => number > count)) {
      throw new ArchiveError("no-such-frame", `The instance has ${count} ${count === 1 ? "frame" : "frames"}.`);
    }
    const images = numbers.map((frame) => ({
      ...source,
      mediaType: "image/jpeg",
      bytes: frameBytes(blobs, located, frame),
      frame,
    }));
    const json = await metadataOf(catalog, row);
    // Frames of one instance are of one make: the first tells of all.
    const fault = imageFault(syntax, json, options) ?? (images[0] && (await jpegFault(images[0].bytes, json)));
    if (fault !== undefined) throw new ArchiveError("cannot-render", fault);
    return images;
  }

  return { rendered, thumbnail };
}

function nothingToShow(): ArchiveError {
  return new ArchiveError("cannot-render", "There is no image, video or document here that could be rendered.");
}

function distinctTypes(renditions: readonly Rendition[]): string[] {
  return [...new Set(renditions.map(({ mediaType }) => mediaType))];
}

async function* listed<Item>(items: readonly Item[]): AsyncGenerator<Item> {
  yield* items;
}
