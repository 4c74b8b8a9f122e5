/** The ultrasound of the demonstration: a cine loop of a beating chamber in a sector of speckle. */
import { compose, type DemoFile, type DemoSeries } from "./demo-compose.ts";
import { createRandom, smooth } from "./demo-volume.ts";

const ultrasoundMultiFrameImageStorage = "1.2.840.10008.5.1.4.1.1.3.1";

/** The cine loop: two beats in 40 frames of 40 ms, so that it goes round without a jump. */
export const cine = { columns: 400, rows: 320, frames: 40, frameTimeMs: 40, beats: 2 } as const;

/** Sector: apex in pixels, half its angle in radians, nearest and farthest depth in pixels. */
const sector = { apexX: 200, apexY: 12, halfAngle: 0.74, near: 14, far: 296 } as const;
const pixelCentimetres = 0.05;

/** How bright a place of the picture is, from 0 to 1. */
type Echo = (x: number, y: number) => number;

/** Contraction from 0 (filled) to 1 (squeezed) at a part of the beat from 0 to 1: fast in, slower out, then rest. */
export function contraction(part: number): number {
  return part < 0.35 ? smooth(part / 0.35 - 0.5) : 1 - smooth((part - 0.35) / 0.4 - 0.5);
}

/** How far a place lies within an ellipse: 1 in its middle, 0 on its border, negative outside. */
function within(x: number, y: number, cx: number, cy: number, rx: number, ry: number): number {
  return 1 - Math.hypot((x - cx) / rx, (y - cy) / ry);
}

/** A heart seen from its apex: two large chambers above, two small ones below, valves that open and close. */
function echoes(beat: number): Echo {
  const squeeze = contraction(beat);
  const left = { rx: 47 - 14 * squeeze, ry: 84 - 12 * squeeze, y: 120 + 6 * squeeze };
  const right = { rx: 33 - 8 * squeeze, ry: 66 - 8 * squeeze, y: 128 + 4 * squeeze };
  const atria = 34 + 7 * squeeze;
  const valveY = 203 - 10 * squeeze;
  // The leaflets hang down into the chamber while it fills.
  const open = beat > 0.45 && beat < 0.98 ? 24 * Math.sin(((beat - 0.45) / 0.53) * Math.PI) : 0;
  return (column, y) => {
    // The heart narrows towards its apex, as the sector does.
    const x = 196 + (column - 196) / (0.5 + 0.5 * Math.min(1, (y - 20) / 170));
    const leftDepth = within(x, y, 234, left.y, left.rx, left.ry);
    const rightDepth = within(x, y, 140, right.y, right.rx, right.ry);
    const leftAtrium = within(x, y, 234, 248, atria, 34);
    const rightAtrium = within(x, y, 146, 246, atria * 0.9, 32);
    const mitral = Math.min(27 - Math.abs(x - 234), 30 - Math.abs(y - 205));
    const tricuspid = Math.min(21 - Math.abs(x - 143), 30 - Math.abs(y - 205));
    const chambers = Math.max(leftDepth * left.rx, rightDepth * right.rx, leftAtrium * 34, rightAtrium * 32);
    const blood = Math.max(chambers, mitral, tricuspid);
    const wall = within(x, y, 196, 160, 118, 142);
    const tissue = wall > 0 ? 0.5 : 0.3;
    const border = Math.exp(-((blood / 4) ** 2)) * 0.42;
    let leaflets = 0;
    for (const [centre, half] of [
      [234, 30],
      [143, 24],
    ] as const) {
      const across = (x - centre) / half;
      const gap = Math.min(0.3, open / 40);
      if (Math.abs(across) > 1 || Math.abs(across) < gap) continue;
      const leafletY = valveY - open * (1 - Math.abs(across)) ** 0.6;
      leaflets = Math.max(leaflets, Math.exp(-(((y - leafletY) / 2.6) ** 2)) * 0.85);
    }
    return Math.max(tissue * (1 - smooth(blood / 5)) + border, leaflets);
  };
}

/** Speckle: a fixed grain in beam and depth, as an aperture makes it: fine along the beam, broad across. */
function speckle(): (angle: number, depth: number) => number {
  const random = createRandom(31);
  const [beams, depths] = [160, 200];
  const grains = Float32Array.from(
    { length: (beams + 1) * (depths + 1) },
    () => Math.hypot(random() - 0.5, random() - 0.5) * 2,
  );
  return (angle, depth) => {
    const u = Math.min(0.999, Math.max(0, (angle / sector.halfAngle + 1) / 2)) * beams;
    const v = Math.min(0.999, Math.max(0, depth / sector.far)) * depths;
    const [i, j] = [Math.floor(u), Math.floor(v)];
    const grain = (di: number, dj: number): number => grains[(j + dj) * (beams + 1) + i + di] ?? 0;
    const [fu, fv] = [u - i, v - j];
    return (grain(0, 0) * (1 - fu) + grain(1, 0) * fu) * (1 - fv) + (grain(0, 1) * (1 - fu) + grain(1, 1) * fu) * fv;
  };
}

/** The frames one after another, one byte a pixel. */
export function cineFrames(): Uint8Array<ArrayBuffer> {
  const size = cine.columns * cine.rows;
  const pixels = new Uint8Array(size * cine.frames);
  const grain = speckle();
  for (let frame = 0; frame < cine.frames; frame += 1) {
    const beat = ((frame * cine.beats) / cine.frames) % 1;
    const echo = echoes(beat);
    const shift = contraction(beat) * 5;
    for (let y = 0; y < cine.rows; y += 1) {
      for (let x = 0; x < cine.columns; x += 1) {
        const [dx, dy] = [x - sector.apexX, y - sector.apexY];
        const depth = Math.hypot(dx, dy);
        const angle = Math.atan2(dx, dy);
        if (dy <= 0 || Math.abs(angle) > sector.halfAngle || depth < sector.near || depth > sector.far) continue;
        const attenuation = 1 - 0.35 * (depth / sector.far);
        const value = echo(x, y) * attenuation * (0.35 + 1.1 * grain(angle, depth + shift)) + 0.015;
        pixels[frame * size + y * cine.columns + x] = Math.round(255 * Math.min(1, value));
      }
    }
  }
  return pixels;
}

/** The cine loop as one multi-frame instance. */
export function* usFiles(series: DemoSeries): Generator<DemoFile> {
  yield compose(series, ultrasoundMultiFrameImageStorage, 1, {
    ImageType: ["ORIGINAL", "PRIMARY", "TTE", "0001"],
    AcquisitionDate: series.study.date,
    ContentDate: series.study.date,
    AcquisitionTime: series.study.time,
    ContentTime: series.study.time,
    BodyPartExamined: "HEART",
    CineRate: String(1000 / cine.frameTimeMs),
    RecommendedDisplayFrameRate: String(1000 / cine.frameTimeMs),
    FrameTime: String(cine.frameTimeMs),
    FrameDelay: "0",
    HeartRate: "75",
    PreferredPlaybackSequencing: 0,
    PatientOrientation: [],
    LossyImageCompression: "00",
    SequenceOfUltrasoundRegions: [
      {
        RegionSpatialFormat: 1,
        RegionDataType: 1,
        RegionFlags: 0,
        RegionLocationMinX0: 0,
        RegionLocationMinY0: 0,
        RegionLocationMaxX1: cine.columns - 1,
        RegionLocationMaxY1: cine.rows - 1,
        PhysicalUnitsXDirection: 3,
        PhysicalUnitsYDirection: 3,
        PhysicalDeltaX: pixelCentimetres,
        PhysicalDeltaY: pixelCentimetres,
      },
    ],
    SamplesPerPixel: 1,
    PhotometricInterpretation: "MONOCHROME2",
    NumberOfFrames: String(cine.frames),
    FrameIncrementPointer: 0x0018_1063,
    Rows: cine.rows,
    Columns: cine.columns,
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    WindowCenter: "127.5",
    WindowWidth: "255",
    PixelData: cineFrames().buffer,
  });
}
