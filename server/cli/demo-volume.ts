/** Paints soft shapes into a volume of values: the tool of the CT and the MR phantom. */

/** A point or extent in millimetres: x to the patient's left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). */
export type Millimetres = readonly [x: number, y: number, z: number];

/** Shape of a volume. `origin` is the centre of the first voxel. */
export interface Grid {
  readonly columns: number;
  readonly rows: number;
  readonly slices: number;
  readonly spacing: Millimetres;
  readonly origin: Millimetres;
}

/** A filled ellipsoid, or a round rod between two points; `value` is what a voxel within becomes. */
export type Shape =
  | {
      readonly kind: "ellipsoid";
      readonly centre: Millimetres;
      readonly radii: Millimetres;
      readonly value: number;
      /** Width of the edge in millimetres. */
      readonly soft?: number;
    }
  | {
      readonly kind: "rod";
      readonly from: Millimetres;
      readonly to: Millimetres;
      /** Radius at `from` and at `to`. */
      readonly radii: readonly [number, number];
      readonly value: number;
      readonly soft?: number;
    };

/** Values of the voxels, x fastest, then y, then z. */
export interface Volume {
  readonly grid: Grid;
  readonly values: Float32Array;
}

/** A volume of one value. */
export function createVolume(grid: Grid, value: number): Volume {
  return { grid, values: new Float32Array(grid.columns * grid.rows * grid.slices).fill(value) };
}

/** A number generator that gives the same numbers in every run: xorshift32, from 0 to below 1. */
export function createRandom(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 0x1_0000_0000;
  };
}

/** 0 below -1/2, 1 above 1/2, smooth between. */
export function smooth(x: number): number {
  const t = Math.min(1, Math.max(0, x + 0.5));
  return t * t * (3 - 2 * t);
}

/** How far within the edge a point lies, in millimetres, near the edge; negative outside. */
type Depth = (x: number, y: number, z: number) => number;

interface Bounds {
  readonly low: Millimetres;
  readonly high: Millimetres;
}

function ellipsoidDepth(centre: Millimetres, radii: Millimetres): Depth {
  const [cx, cy, cz] = centre;
  const [rx, ry, rz] = radii;
  const least = Math.min(rx, ry, rz);
  return (x, y, z) => (1 - Math.hypot((x - cx) / rx, (y - cy) / ry, (z - cz) / rz)) * least;
}

function rodDepth(from: Millimetres, to: Millimetres, radii: readonly [number, number]): Depth {
  const [dx, dy, dz] = [to[0] - from[0], to[1] - from[1], to[2] - from[2]];
  const square = dx * dx + dy * dy + dz * dz;
  return (x, y, z) => {
    const [px, py, pz] = [x - from[0], y - from[1], z - from[2]];
    const t = Math.min(1, Math.max(0, (px * dx + py * dy + pz * dz) / square));
    return radii[0] + (radii[1] - radii[0]) * t - Math.hypot(px - t * dx, py - t * dy, pz - t * dz);
  };
}

function map3(make: (axis: 0 | 1 | 2) => number): Millimetres {
  return [make(0), make(1), make(2)];
}

function boundsOf(shape: Shape): Bounds {
  const margin = shape.soft ?? 2;
  if (shape.kind === "ellipsoid") {
    const { centre, radii } = shape;
    return { low: map3((i) => centre[i] - radii[i] - margin), high: map3((i) => centre[i] + radii[i] + margin) };
  }
  const { from, to } = shape;
  const radius = Math.max(...shape.radii) + margin;
  return { low: map3((i) => Math.min(from[i], to[i]) - radius), high: map3((i) => Math.max(from[i], to[i]) + radius) };
}

/** Calls `visit` for the voxels within bounds, with the centre of each in millimetres. */
export function eachVoxel(
  grid: Grid,
  bounds: Bounds,
  visit: (index: number, x: number, y: number, z: number) => void,
): void {
  const sizes = [grid.columns, grid.rows, grid.slices] as const;
  const first = map3((i) => Math.max(0, Math.ceil((bounds.low[i] - grid.origin[i]) / grid.spacing[i])));
  const last = map3((i) => Math.min(sizes[i] - 1, Math.floor((bounds.high[i] - grid.origin[i]) / grid.spacing[i])));
  for (let k = first[2]; k <= last[2]; k += 1) {
    const z = grid.origin[2] + k * grid.spacing[2];
    for (let j = first[1]; j <= last[1]; j += 1) {
      const y = grid.origin[1] + j * grid.spacing[1];
      const row = (k * grid.rows + j) * grid.columns;
      for (let i = first[0]; i <= last[0]; i += 1) visit(row + i, grid.origin[0] + i * grid.spacing[0], y, z);
    }
  }
}

/** Blends `value` into the volume where `depth` is positive, over an edge of `soft` millimetres. */
export function paintDepth(volume: Volume, bounds: Bounds, depth: Depth, value: number, soft: number): void {
  const { values } = volume;
  eachVoxel(volume.grid, bounds, (index, x, y, z) => {
    const share = smooth(depth(x, y, z) / soft);
    if (share > 0) values[index] = (values[index] ?? 0) * (1 - share) + value * share;
  });
}

/** Paints shapes one over another. */
export function paint(volume: Volume, shapes: readonly Shape[]): void {
  for (const shape of shapes) {
    const depth =
      shape.kind === "ellipsoid"
        ? ellipsoidDepth(shape.centre, shape.radii)
        : rodDepth(shape.from, shape.to, shape.radii);
    paintDepth(volume, boundsOf(shape), depth, shape.value, shape.soft ?? 2);
  }
}

/** Adds noise of about a normal distribution with standard deviation `sigma`. */
export function addNoise(volume: Volume, sigma: number, random: () => number): void {
  const { values } = volume;
  // The sum of three uniform numbers has a variance of 1/4.
  for (let index = 0; index < values.length; index += 1) {
    values[index] = (values[index] ?? 0) + (random() + random() + random() - 1.5) * 2 * sigma;
  }
}

/** One slice as 16-bit little-endian words, each value rounded and kept within `least` and `most`. */
export function sliceWords(volume: Volume, slice: number, least: number, most: number): ArrayBuffer {
  const size = volume.grid.columns * volume.grid.rows;
  const view = new DataView(new ArrayBuffer(size * 2));
  for (let index = 0; index < size; index += 1) {
    const value = Math.round(volume.values[slice * size + index] ?? 0);
    view.setInt16(index * 2, Math.min(most, Math.max(least, value)), true);
  }
  return view.buffer;
}
