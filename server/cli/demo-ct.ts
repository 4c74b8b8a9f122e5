/** The CT of the demonstration: a thorax phantom of 128 slices. */
import { compose, decimal, demoUid, type DemoFile, type DemoSeries } from "./demo-compose.ts";
import {
  addNoise,
  createRandom,
  createVolume,
  paint,
  paintDepth,
  sliceWords,
  type Grid,
  type Millimetres,
  type Shape,
  type Volume,
} from "./demo-volume.ts";

const ctImageStorage = "1.2.840.10008.5.1.4.1.1.2";
const wholeVolume = { low: [-1e4, -1e4, -1e4], high: [1e4, 1e4, 1e4] } as const;

/** The grid of the CT: 256 x 256 x 128 voxels of 1.5 x 1.5 x 2.5 mm. */
export const ctGrid: Grid = {
  columns: 256,
  rows: 256,
  slices: 128,
  spacing: [1.5, 1.5, 2.5],
  origin: [-191.25, -191.25, -158.75],
};

/** Where the nodule is: in the upper lobe of the right lung. */
export const noduleCentre: Millimetres = [-82, 10, 62];

/** Hounsfield units. */
const hu = {
  air: -1000,
  lung: -860,
  fat: -95,
  muscle: 52,
  blood: 160,
  heart: 120,
  liver: 95,
  cortex: 750,
  marrow: 230,
};

/** Chest wall, drawn before the ribs. The body is longer than the volume, so that it is cut, as in life. */
const bodyShapes: readonly Shape[] = [
  { kind: "ellipsoid", centre: [0, 0, -40], radii: [172, 122, 420], value: hu.fat },
  { kind: "ellipsoid", centre: [0, 2, -40], radii: [158, 107, 400], value: hu.muscle, soft: 4 },
  // Arms are raised in a chest CT: only the shoulders' roots are seen.
  { kind: "ellipsoid", centre: [-128, 12, 165], radii: [62, 52, 46], value: hu.muscle, soft: 5 },
  { kind: "ellipsoid", centre: [128, 12, 165], radii: [62, 52, 46], value: hu.muscle, soft: 5 },
];

const organShapes: readonly Shape[] = [
  { kind: "ellipsoid", centre: [-70, 0, 15], radii: [58, 80, 128], value: hu.lung, soft: 3 },
  { kind: "ellipsoid", centre: [72, 2, 12], radii: [55, 78, 126], value: hu.lung, soft: 3 },
  // Under the domes of the diaphragm: liver on the right, spleen and stomach on the left.
  { kind: "ellipsoid", centre: [-68, -2, -142], radii: [76, 88, 78], value: hu.liver, soft: 3 },
  { kind: "ellipsoid", centre: [20, -38, -150], radii: [60, 48, 48], value: hu.liver, soft: 3 },
  { kind: "ellipsoid", centre: [92, 42, -138], radii: [42, 44, 52], value: 110, soft: 3 },
  { kind: "ellipsoid", centre: [70, -20, -140], radii: [46, 50, 50], value: 20, soft: 3 },
  { kind: "ellipsoid", centre: [70, -44, -128], radii: [28, 20, 26], value: hu.air, soft: 3 },
  // Mediastinum and heart, its chambers bright with contrast.
  { kind: "ellipsoid", centre: [0, 2, 70], radii: [32, 52, 120], value: 30, soft: 4 },
  { kind: "ellipsoid", centre: [24, -26, -38], radii: [62, 52, 56], value: hu.heart, soft: 4 },
  { kind: "ellipsoid", centre: [46, -22, -46], radii: [29, 24, 34], value: 235, soft: 5 },
  { kind: "ellipsoid", centre: [-8, -40, -36], radii: [26, 22, 36], value: 250, soft: 5 },
  { kind: "ellipsoid", centre: [14, 10, -22], radii: [30, 18, 24], value: 225, soft: 5 },
];

const vesselShapes: readonly Shape[] = [
  // Aorta: up from the heart, over the arch, down before the spine.
  { kind: "rod", from: [6, -22, -10], to: [-10, -26, 48], radii: [15, 15], value: 260 },
  { kind: "rod", from: [-10, -26, 48], to: [4, -10, 72], radii: [15, 14], value: 260 },
  { kind: "rod", from: [4, -10, 72], to: [24, 30, 66], radii: [14, 13], value: 260 },
  { kind: "rod", from: [24, 30, 66], to: [16, 46, -170], radii: [13, 11], value: 260 },
  { kind: "rod", from: [-26, -22, 110], to: [-22, -18, 0], radii: [9, 10], value: 280 },
  { kind: "rod", from: [10, -22, 12], to: [2, 4, 30], radii: [13, 12], value: 270 },
  // Trachea and main bronchi.
  { kind: "rod", from: [0, 6, 170], to: [0, 14, 42], radii: [9, 9], value: hu.air },
  { kind: "rod", from: [0, 14, 42], to: [-36, 18, 14], radii: [7, 5], value: hu.air },
  { kind: "rod", from: [0, 14, 42], to: [38, 18, 10], radii: [7, 5], value: hu.air },
  // Sternum.
  { kind: "rod", from: [0, -101, 80], to: [0, -107, -70], radii: [8, 7], value: 380, soft: 5 },
];

/** Trees of blood vessels that fork from the hilum of each lung outwards, thinner at every fork. */
function lungVessels(): Shape[] {
  const random = createRandom(7);
  const shapes: Shape[] = [];
  const grow = (from: Millimetres, direction: Millimetres, length: number, radius: number): void => {
    const to: Millimetres = [
      from[0] + direction[0] * length,
      from[1] + direction[1] * length,
      from[2] + direction[2] * length,
    ];
    shapes.push({ kind: "rod", from, to, radii: [radius, radius * 0.75], value: hu.blood });
    if (radius < 1.2) return;
    for (let branch = 0; branch < 3; branch += 1) {
      const turned = direction.map((part) => part + (random() - 0.5) * 1.5);
      const norm = Math.hypot(...turned);
      const [x = 0, y = 0, z = 0] = turned.map((part) => part / norm);
      grow(to, [x, y, z], length * 0.86, radius * 0.68);
    }
  };
  for (const side of [-1, 1]) {
    for (const height of [-0.75, -0.25, 0.35, 0.85]) {
      const norm = Math.hypot(0.8, 0.1, height);
      grow([side * 34, 8, 14], [(side * 0.8) / norm, 0.1 / norm, height / norm], 24, 4.6);
    }
  }
  return shapes;
}

/** Vertebrae: bodies and discs in turn, the canal behind, a process to the back. */
function spine(): Shape[] {
  const shapes: Shape[] = [];
  for (let z = -190; z < 190; z += 26) {
    shapes.push(
      { kind: "ellipsoid", centre: [0, 68, z], radii: [20, 16, 13], value: hu.cortex * 0.6, soft: 2 },
      { kind: "ellipsoid", centre: [0, 68, z], radii: [17, 13, 11], value: hu.marrow, soft: 2 },
      { kind: "rod", from: [-30, 88, z + 2], to: [30, 88, z + 2], radii: [5, 5], value: 420 },
      { kind: "rod", from: [0, 92, z + 2], to: [0, 108, z - 10], radii: [4, 3], value: 420 },
    );
  }
  shapes.push({ kind: "rod", from: [0, 87, -200], to: [0, 87, 200], radii: [8, 8], value: 25 });
  return shapes;
}

/** Ribs: bands around the chest that fall from the spine to the front, open at the sternum. */
function paintRibs(volume: Volume, radius: number, value: number): void {
  const depth = (x: number, y: number, z: number): number => {
    const around = Math.hypot(x / 140, (y - 2) / 95);
    if (around < 0.85 || around > 1.15 || z > 140) return -9;
    const angle = Math.atan2(Math.abs(x), y - 2);
    const fall = z + angle * 24;
    const along = fall - Math.round(fall / 27) * 27;
    // The last part before the sternum is cartilage, which a CT hardly shows.
    const cartilage = Math.max(0, angle - 2.5) * 14;
    return radius - cartilage - Math.hypot(along, (around - 1) * 112);
  };
  paintDepth(volume, wholeVolume, depth, value, 2.5);
}

/** The phantom in Hounsfield units. */
export function ctVolume(): Volume {
  const volume = createVolume(ctGrid, hu.air);
  paint(volume, bodyShapes);
  paint(volume, organShapes);
  paint(volume, lungVessels());
  paint(volume, vesselShapes);
  paint(volume, spine());
  paintRibs(volume, 6, hu.cortex);
  paintRibs(volume, 3, hu.marrow);
  paint(volume, [{ kind: "ellipsoid", centre: noduleCentre, radii: [9, 8, 8], value: 60, soft: 3 }]);
  addNoise(volume, 9, createRandom(11));
  return volume;
}

/** The slices of the CT, from the feet to the head. */
export function* ctFiles(series: DemoSeries): Generator<DemoFile> {
  const volume = ctVolume();
  const [dx, dy, dz] = ctGrid.spacing;
  for (let slice = 0; slice < ctGrid.slices; slice += 1) {
    const z = ctGrid.origin[2] + slice * dz;
    yield compose(series, ctImageStorage, slice + 1, {
      ImageType: ["ORIGINAL", "PRIMARY", "AXIAL"],
      AcquisitionDate: series.study.date,
      ContentDate: series.study.date,
      AcquisitionTime: series.study.time,
      ContentTime: series.study.time,
      BodyPartExamined: "CHEST",
      PatientPosition: "HFS",
      SliceThickness: decimal(dz),
      SpacingBetweenSlices: decimal(dz),
      KVP: "120",
      XRayTubeCurrent: "200",
      ConvolutionKernel: "PHANTOM",
      AcquisitionNumber: "1",
      FrameOfReferenceUID: demoUid(`${series.study.key}/frame of reference`),
      PositionReferenceIndicator: [],
      ImagePositionPatient: [ctGrid.origin[0], ctGrid.origin[1], z].map(decimal),
      ImageOrientationPatient: ["1", "0", "0", "0", "1", "0"],
      SliceLocation: decimal(z),
      SamplesPerPixel: 1,
      PhotometricInterpretation: "MONOCHROME2",
      Rows: ctGrid.rows,
      Columns: ctGrid.columns,
      PixelSpacing: [dy, dx].map(decimal),
      BitsAllocated: 16,
      BitsStored: 16,
      HighBit: 15,
      PixelRepresentation: 1,
      RescaleIntercept: "0",
      RescaleSlope: "1",
      RescaleType: "HU",
      WindowCenter: ["40", "-500"],
      WindowWidth: ["400", "1500"],
      WindowCenterWidthExplanation: ["Soft tissue", "Lung"],
      PixelData: sliceWords(volume, slice, -1024, 3071),
    });
  }
}
