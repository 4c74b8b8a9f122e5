/** Reads back what the viewer's viewport shows: which image it says it shows, and the pixels on its canvas. */
import type { Page } from "playwright-core";
import { z } from "zod";
import type { Picture } from "./ct-picture.ts";

/** What the viewport tells of itself. */
export interface ViewportState {
  /** SOP Instance UID of the image that the viewport says it shows. */
  readonly sopInstanceUid: string;
  /** Size of the canvas in pixels. */
  readonly canvas: { readonly width: number; readonly height: number };
  /** The pixels on the canvas. */
  readonly picture: Picture;
}

const stateSchema = z.object({ imageId: z.string(), width: z.int(), height: z.int(), levels: z.base64() });

/** Runs in the page: the red channel of every `step`th pixel, once the viewport says that it has drawn. */
const readScript = (step: number): string => `(() => {
  const [viewport] = globalThis.cornerstone?.getRenderingEngines().flatMap((engine) => engine.getViewports()) ?? [];
  const imageId = viewport?.getCurrentImageId?.();
  if (!imageId || viewport.viewportStatus !== "rendered") return undefined;
  const canvas = viewport.getCanvas();
  const { width, height } = canvas;
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let levels = "";
  for (let y = 0; y < height; y += ${step}) {
    for (let x = 0; x < width; x += ${step}) levels += String.fromCharCode(data[(y * width + x) * 4]);
  }
  return { imageId, width, height, levels: btoa(levels) };
})()`;

/** The state of the first viewport; undefined while it has drawn nothing. */
export async function readViewport(page: Page, step: number): Promise<ViewportState | undefined> {
  const answer: unknown = await page.evaluate(readScript(step));
  if (answer === undefined || answer === null) return undefined;
  const { imageId, width, height, levels } = stateSchema.parse(answer);
  return {
    sopInstanceUid: /\/instances\/([0-9.]+)\//.exec(imageId)?.[1] ?? "",
    canvas: { width, height },
    picture: {
      width: Math.ceil(width / step),
      height: Math.ceil(height / step),
      levels: Buffer.from(levels, "base64"),
    },
  };
}
