/** What a CT slice must look like on a canvas, computed from its file alone: nothing of it comes from the viewer. */
import { readFileSync } from "node:fs";
import dicomParser from "dicom-parser";

/** A slice of CT with native pixels, as its file tells it. */
export interface CtSlice {
  readonly studyInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly patientId: string;
  readonly instanceNumber: number;
  readonly rows: number;
  readonly columns: number;
  /** Rescaled values (PS3.3 C.11.1), row by row; Hounsfield units. */
  readonly values: Float32Array;
  readonly windowCenter: number;
  readonly windowWidth: number;
}

/** How a picture may be turned by mistake. */
export type Turn = "upright" | "mirrored" | "upside-down";

/** Grey levels, 0 to 255, at points of a canvas: every `step`th pixel of every `step`th row. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly levels: Uint8Array;
}

/** Reads a file with one frame of 16-bit signed native pixels. @throws Error when it is another kind of file. */
export function readSlice(file: string): CtSlice {
  const bytes = readFileSync(file);
  const dataSet = dicomParser.parseDicom(bytes);
  const number = (tag: string): number => {
    const value = dataSet.floatString(tag) ?? dataSet.uint16(tag);
    if (value === undefined) throw new Error(`${file} has no ${tag}`);
    return value;
  };
  const unsigned = (tag: string): number => dataSet.uint16(tag) ?? Number.NaN;
  const rows = unsigned("x00280010");
  const columns = unsigned("x00280011");
  const pixels = dataSet.elements["x7fe00010"];
  if (pixels?.length !== rows * columns * 2 || unsigned("x00280103") !== 1) {
    throw new Error(`${file} does not hold one frame of signed 16-bit pixels`);
  }
  const values = new Float32Array(rows * columns);
  const slope = number("x00281053");
  const intercept = number("x00281052");
  for (let at = 0; at < values.length; at += 1) {
    values[at] = bytes.readInt16LE(pixels.dataOffset + at * 2) * slope + intercept;
  }
  return {
    studyInstanceUid: dataSet.string("x0020000d") ?? "",
    sopInstanceUid: dataSet.string("x00080018") ?? "",
    patientId: dataSet.string("x00100020") ?? "",
    instanceNumber: number("x00200013"),
    rows,
    columns,
    values,
    windowCenter: number("x00281050"),
    windowWidth: number("x00281051"),
  };
}

/**
 * The slice on a canvas of `width` x `height` pixels: as large as fits, in the middle, on black, with square pixels,
 * its values interpolated linearly and then windowed.
 */
export function drawSlice(
  slice: CtSlice,
  canvas: { width: number; height: number },
  step: number,
  turn: Turn,
): Picture {
  const scale = Math.min(canvas.width / slice.columns, canvas.height / slice.rows);
  const width = Math.ceil(canvas.width / step);
  const height = Math.ceil(canvas.height / step);
  const levels = new Uint8Array(width * height);
  for (let row = 0; row < height; row += 1) {
    for (let column = 0; column < width; column += 1) {
      const x = (column * step + 0.5 - canvas.width / 2) / scale + slice.columns / 2;
      const y = (row * step + 0.5 - canvas.height / 2) / scale + slice.rows / 2;
      if (x < 0 || y < 0 || x > slice.columns || y > slice.rows) continue;
      const value = interpolate(
        slice,
        turn === "mirrored" ? slice.columns - x : x,
        turn === "upside-down" ? slice.rows - y : y,
      );
      levels[row * width + column] = Math.round(windowed(value, slice));
    }
  }
  return { width, height, levels };
}

/** Mean absolute difference in grey levels. @throws Error when the pictures are not of one size. */
export function meanDifference(one: Picture, other: Picture): number {
  if (one.width !== other.width || one.height !== other.height) throw new Error("The pictures differ in size");
  const sum = one.levels.reduce((total, level, at) => total + Math.abs(level - (other.levels[at] ?? 0)), 0);
  return sum / one.levels.length;
}

/** The value at a point, in pixels from the outer corner of the first pixel. */
function interpolate(slice: CtSlice, x: number, y: number): number {
  const left = Math.floor(x - 0.5);
  const top = Math.floor(y - 0.5);
  const right = x - 0.5 - left;
  const down = y - 0.5 - top;
  const upper = valueAt(slice, left, top) * (1 - right) + valueAt(slice, left + 1, top) * right;
  const lower = valueAt(slice, left, top + 1) * (1 - right) + valueAt(slice, left + 1, top + 1) * right;
  return upper * (1 - down) + lower * down;
}

function valueAt(slice: CtSlice, column: number, row: number): number {
  const inColumn = Math.min(Math.max(column, 0), slice.columns - 1);
  const inRow = Math.min(Math.max(row, 0), slice.rows - 1);
  return slice.values[inRow * slice.columns + inColumn] ?? 0;
}

/** VOI LUT function LINEAR (PS3.3 C.11.2.1.2.1), to 0..255. */
function windowed(value: number, { windowCenter, windowWidth }: CtSlice): number {
  const level = ((value - (windowCenter - 0.5)) / (windowWidth - 1) + 0.5) * 255;
  return Math.min(Math.max(level, 0), 255);
}
