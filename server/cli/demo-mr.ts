/** The MR of the demonstration: a head phantom of 24 slices that looks T1-weighted. */
import { compose, decimal, demoUid, type DemoFile, type DemoSeries } from "./demo-compose.ts";
import {
  addNoise,
  createRandom,
  createVolume,
  eachVoxel,
  paint,
  sliceWords,
  smooth,
  type Grid,
  type Volume,
} from "./demo-volume.ts";

const mrImageStorage = "1.2.840.10008.5.1.4.1.1.4";

/** The grid of the MR: 192 x 192 x 24 voxels of 1.2 x 1.2 x 5.5 mm (5 mm slices, 0.5 mm apart). */
export const mrGrid: Grid = {
  columns: 192,
  rows: 192,
  slices: 24,
  spacing: [1.2, 1.2, 5.5],
  origin: [-114.6, -114.6, -63.25],
};

const sliceThickness = 5;

/** Signal of each tissue in a T1-weighted image, of at most 4095. */
const signal = { air: 20, scalp: 1500, bone: 160, fluid: 300, grey: 820, white: 1180, deep: 920, lesion: 1750 };

/** Folds of the cortex: how far, in millimetres, the border of the white matter swings in and out at a place. */
function fold(x: number, y: number, z: number): number {
  const across = Math.sin(0.33 * Math.abs(x) + 1.5 * Math.sin(0.17 * y) + 0.1 * z);
  const along = Math.sin(0.33 * y + 1.5 * Math.sin(0.17 * x) - 0.12 * z);
  return (across + along) * 3.2;
}

/** Brain: fluid around it, grey matter, and white matter behind a folded border; the two halves stand apart. */
function paintBrain(volume: Volume): void {
  const [rx, ry, rz] = [64, 79, 76];
  const middle = -10;
  const { values } = volume;
  const bounds = { low: [-rx, -ry, middle - rz], high: [rx, ry, middle + rz] } as const;
  eachVoxel(volume.grid, bounds, (index, x, y, z) => {
    const depth = (1 - Math.hypot(x / rx, y / ry, (z - middle) / rz)) * rx;
    if (depth <= 0) return;
    const wave = fold(x, y, z);
    const sulcus = smooth((wave - 3.4) / 1.5) * smooth((11 - depth) / 3);
    const cleft = smooth((1.8 - Math.abs(x)) / 1.2) * smooth((Math.hypot(y / ry, (z - middle) / rz) - 0.45) * 12);
    const cortex = smooth((depth - 2.5) / 1.5);
    const core = smooth((depth - 7.5 - wave) / 2) * smooth((Math.abs(x) - 4) / 2);
    const tissue = signal.grey + (signal.white - signal.grey) * core;
    const fluid = Math.max(1 - cortex, sulcus, cleft);
    values[index] = tissue * (1 - fluid) + signal.fluid * fluid;
  });
}

/** The phantom, in the numbers that are stored. */
export function mrVolume(): Volume {
  const volume = createVolume(mrGrid, signal.air);
  paint(volume, [
    { kind: "ellipsoid", centre: [0, 2, -30], radii: [78, 96, 110], value: signal.scalp, soft: 2 },
    { kind: "ellipsoid", centre: [0, 1, -30], radii: [72, 89, 104], value: signal.bone, soft: 2 },
    { kind: "ellipsoid", centre: [0, 0, -12], radii: [66, 82, 81], value: signal.fluid, soft: 2 },
    // Orbits and eyes, at the lowest slices.
    { kind: "ellipsoid", centre: [-32, -72, -46], radii: [18, 20, 17], value: signal.scalp, soft: 2 },
    { kind: "ellipsoid", centre: [32, -72, -46], radii: [18, 20, 17], value: signal.scalp, soft: 2 },
    { kind: "ellipsoid", centre: [-32, -76, -46], radii: [12, 12, 12], value: signal.fluid, soft: 2 },
    { kind: "ellipsoid", centre: [32, -76, -46], radii: [12, 12, 12], value: signal.fluid, soft: 2 },
  ]);
  paintBrain(volume);
  for (const side of [-1, 1]) {
    paint(volume, [
      // Deep nuclei, then the lateral ventricles with their front and back horns.
      { kind: "ellipsoid", centre: [side * 14, 6, -2], radii: [10, 15, 11], value: signal.deep, soft: 3 },
      { kind: "ellipsoid", centre: [side * 24, -8, 0], radii: [8, 18, 12], value: signal.deep, soft: 3 },
      { kind: "rod", from: [side * 5, -12, 12], to: [side * 12, -34, 8], radii: [6, 4], value: signal.fluid },
      { kind: "rod", from: [side * 5, -12, 14], to: [side * 10, 20, 16], radii: [6, 6], value: signal.fluid },
      { kind: "rod", from: [side * 10, 20, 16], to: [side * 24, 46, 4], radii: [6, 4], value: signal.fluid },
      { kind: "ellipsoid", centre: [side * 22, 40, -50], radii: [24, 22, 17], value: signal.deep, soft: 3 },
    ]);
  }
  paint(volume, [
    { kind: "rod", from: [0, 2, -12], to: [0, 12, 4], radii: [2.5, 2.5], value: signal.fluid },
    { kind: "rod", from: [0, 12, -80], to: [0, 8, -18], radii: [13, 15], value: signal.white },
    { kind: "ellipsoid", centre: [34, -28, 27], radii: [8, 9, 9], value: signal.lesion, soft: 3 },
  ]);
  addNoise(volume, 28, createRandom(23));
  return volume;
}

/** The slices of the MR, from the feet to the head. */
export function* mrFiles(series: DemoSeries): Generator<DemoFile> {
  const volume = mrVolume();
  const [dx, dy, dz] = mrGrid.spacing;
  for (let slice = 0; slice < mrGrid.slices; slice += 1) {
    const z = mrGrid.origin[2] + slice * dz;
    yield compose(series, mrImageStorage, slice + 1, {
      ImageType: ["ORIGINAL", "PRIMARY", "OTHER"],
      AcquisitionDate: series.study.date,
      ContentDate: series.study.date,
      AcquisitionTime: series.study.time,
      ContentTime: series.study.time,
      BodyPartExamined: "HEAD",
      PatientPosition: "HFS",
      ScanningSequence: "SE",
      SequenceVariant: "NONE",
      ScanOptions: [],
      MRAcquisitionType: "2D",
      SequenceName: "phantom",
      SliceThickness: decimal(sliceThickness),
      SpacingBetweenSlices: decimal(dz),
      RepetitionTime: "520",
      EchoTime: "11",
      EchoTrainLength: "1",
      FlipAngle: "90",
      MagneticFieldStrength: "1.5",
      AcquisitionNumber: "1",
      FrameOfReferenceUID: demoUid(`${series.study.key}/frame of reference`),
      PositionReferenceIndicator: [],
      ImagePositionPatient: [mrGrid.origin[0], mrGrid.origin[1], z].map(decimal),
      ImageOrientationPatient: ["1", "0", "0", "0", "1", "0"],
      SliceLocation: decimal(z),
      SamplesPerPixel: 1,
      PhotometricInterpretation: "MONOCHROME2",
      Rows: mrGrid.rows,
      Columns: mrGrid.columns,
      PixelSpacing: [dy, dx].map(decimal),
      BitsAllocated: 16,
      BitsStored: 12,
      HighBit: 11,
      PixelRepresentation: 0,
      WindowCenter: "800",
      WindowWidth: "1600",
      PixelData: sliceWords(volume, slice, 0, 4095),
    });
  }
}
