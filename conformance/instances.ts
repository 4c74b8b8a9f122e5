/** Instances of one run: synthetic patients, UIDs under 2.25 that are fresh in every run, the same for the same seed. */
import { createHash } from "node:crypto";
import { type DataSet, transferSyntax, writeFile } from "./write-dicom.ts";

/** One written instance. */
export interface Instance {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  readonly transferSyntaxUid: string;
  readonly dataSet: DataSet;
  readonly file: Buffer;
}

/** SOP classes that the suite writes (PS3.4 Table B.5-1). */
export const sopClass = {
  ct: "1.2.840.10008.5.1.4.1.1.2",
  mr: "1.2.840.10008.5.1.4.1.1.4",
  usMultiFrame: "1.2.840.10008.5.1.4.1.1.3.1",
  secondaryCapture: "1.2.840.10008.5.1.4.1.1.7",
  rawData: "1.2.840.10008.5.1.4.1.1.66",
  encapsulatedPdf: "1.2.840.10008.5.1.4.1.1.104.1",
  photography: "1.2.840.10008.5.1.4.1.1.77.1.4",
  hangingProtocol: "1.2.840.10008.5.1.4.38.1",
  colorPalette: "1.2.840.10008.5.1.4.39.1",
} as const;

/** Names and numbers of one run. */
export class Run {
  readonly seed: string;
  /** Eight hexadecimal digits in upper case, part of every identifier of the run. */
  readonly token: string;
  /** The same as letters, for names. */
  readonly letters: string;

  constructor(seed: string) {
    this.seed = seed;
    this.token = createHash("sha256").update(`token ${seed}`).digest("hex").slice(0, 8).toUpperCase();
    this.letters = Array.from(this.token, (digit) => String.fromCodePoint(97 + Number.parseInt(digit, 16))).join("");
  }

  /** The UID of a name (PS3.5 B.2: 2.25 and 120 bits as a decimal number). */
  uid(name: string): string {
    const hex = createHash("sha256").update(`${this.seed} ${name}`).digest("hex").slice(0, 30);
    return `2.25.${BigInt(`0x${hex}`)}`;
  }

  /** A date of 1901 to 1928 of a name: no other patient of a server is likely to have it. */
  date(name: string): string {
    const hash = createHash("sha256").update(`${this.seed} date ${name}`).digest();
    const [year = 0, month = 0, day = 0] = hash;
    return `19${twoDigits(1 + (year % 28))}${twoDigits(1 + (month % 12))}${twoDigits(2 + (day % 26))}`;
  }

  /** A patient's identifier. */
  patientId(letter: string): string {
    return `CF-${this.token}-${letter}`;
  }

  /** One instance of a study and a series by their names. */
  instance(study: string, series: string, name: string, dataSet: DataSet, syntax: string): Instance {
    const uids = {
      StudyInstanceUID: this.uid(`study ${study}`),
      SeriesInstanceUID: this.uid(`series ${study} ${series}`),
      SOPInstanceUID: this.uid(`instance ${study} ${series} ${name}`),
    };
    const whole: DataSet = { SOPClassUID: sopClass.secondaryCapture, ...uids, ...dataSet };
    return {
      studyInstanceUid: uids.StudyInstanceUID,
      seriesInstanceUid: uids.SeriesInstanceUID,
      sopInstanceUid: uids.SOPInstanceUID,
      sopClassUid: typeof whole["SOPClassUID"] === "string" ? whole["SOPClassUID"] : "",
      transferSyntaxUid: syntax,
      dataSet: whole,
      file: writeFile(whole, syntax),
    };
  }

  /** A small secondary capture of a study of its own, for checks that change or remove what they store. */
  scratch(name: string, dataSet: DataSet = {}, syntax: string = transferSyntax.explicitLittle): Instance {
    return this.instance(
      name,
      "series",
      "instance",
      { ...this.scratchAttributes(name), ...grayscale(4, 4, 8, 1), ...dataSet },
      syntax,
    );
  }

  /** What such an instance holds besides its UIDs and its image. */
  scratchAttributes(name: string): DataSet {
    return {
      PatientName: `Scratch${this.letters}^${name.replaceAll(/[^a-z]/gi, "")}`,
      PatientID: this.patientId("X"),
      PatientBirthDate: "",
      PatientSex: "",
      StudyDate: "19000102",
      StudyTime: "0102",
      AccessionNumber: "",
      ReferringPhysicianName: "",
      StudyID: "X",
      Modality: "OT",
      ConversionType: "WSD",
      SeriesNumber: 1,
      InstanceNumber: 1,
    };
  }
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** The Image Pixel Module of native grey images, with values that differ from pixel to pixel and frame to frame. */
export function grayscale(rows: number, columns: number, bits: 8 | 16, frames: number): DataSet {
  const pixels = Buffer.alloc((rows * columns * bits * frames) / 8);
  for (let at = 0; at < pixels.length; at += 1) pixels[at] = bits === 16 && at % 2 === 1 ? 3 : (at * 7 + 5) % 251;
  return {
    SamplesPerPixel: 1,
    PhotometricInterpretation: "MONOCHROME2",
    Rows: rows,
    Columns: columns,
    BitsAllocated: bits,
    BitsStored: bits === 16 ? 12 : 8,
    HighBit: bits === 16 ? 11 : 7,
    PixelRepresentation: 0,
    ...(frames > 1 && { NumberOfFrames: frames }),
    PixelData: pixels,
  };
}
