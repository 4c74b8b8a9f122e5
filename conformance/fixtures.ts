/** What every run stores before its checks: studies that between them hold each thing that a check asks for. */
import { characterSets } from "./character-sets.ts";
import { grayscale, type Instance, type Run, sopClass } from "./instances.ts";
import { type DataSet, encapsulate, runLengthEncode, transferSyntax } from "./write-dicom.ts";

/** Two JPEG baseline images of 16 x 16 pixels, YBR_FULL_422 (PS3.5 8.2.1). */
export const jpegFrames = [
  "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9" +
    "lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAQABAD" +
    "ASEAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAABAX/xAAXEAADAQAAAAAAAAAAAAAAAAAAAwRh/8QAFQEBAQAAAAAAAAAAAAAAAAAABAX/xAAX" +
    "EQEBAQEAAAAAAAAAAAAAAAADAAQx/9oADAMBAAIRAxEAPwCKmTCgmTBSJKxLyemTB6ZMJyJS8S8v/9k=",
  "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDABQODxIPDRQSEBIXFRQYHjIhHhwcHj0sLiQySUBMS0dARkVQWnNiUFVtVkVGZIhlbXd7gYKBTmCNl4x9" +
    "lnN+gXz/2wBDARUXFx4aHjshITt8U0ZTfHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHx8fHz/wAARCAAQABAD" +
    "ASEAAhEBAxEB/8QAFgABAQEAAAAAAAAAAAAAAAAABQMG/8QAGBAAAwEBAAAAAAAAAAAAAAAAAAMEMSH/xAAWAQEBAQAAAAAAAAAAAAAAAAAEAwX/" +
    "xAAXEQADAQAAAAAAAAAAAAAAAAAAAgQD/9oADAMBAAIRAxEAPwCtidALE7wtOwOTE11id4A2J0NOxsSYn//Z",
].map((text) => Buffer.from(text, "base64"));

/** A PDF of one empty page. */
export const pdf = Buffer.from(
  "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n" +
    "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n",
);

/** Large enough that a server refers to it as bulk data (PS3.18 F.2.7). */
export const bulkValue = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 31 + (index >> 8)) % 256));

/** The fixtures of a run by name. */
export type Fixtures = ReturnType<typeof makeFixtures>;

/** Writes them all. */
export function makeFixtures(run: Run) {
  const ct = [1, 2, 3].map((number) =>
    run.instance("ct", "ct", String(number), ctDataSet(run, number), transferSyntax.explicitLittle),
  );
  const mr = run.instance("ct", "mr", "1", mrDataSet(run), transferSyntax.explicitLittle);
  return {
    ct,
    mr,
    cine: run.instance("cine", "us", "1", cineDataSet(run), transferSyntax.implicitLittle),
    photo: run.instance("photo", "vl", "1", photoDataSet(run), transferSyntax.jpegBaseline),
    document: run.instance("document", "doc", "1", documentDataSet(run), transferSyntax.explicitLittle),
    forms: run.instance("forms", "raw", "1", formsDataSet(run), transferSyntax.explicitLittle),
    bigEndian: run.instance("syntaxes", "big", "1", syntaxDataSet(run, 1), transferSyntax.explicitBig),
    deflated: run.instance("syntaxes", "deflated", "1", syntaxDataSet(run, 2), transferSyntax.deflated),
    lossless: run.instance("syntaxes", "rle", "1", losslessDataSet(run), transferSyntax.rle),
    named: characterSets.map(({ name }, index) =>
      run.instance(`charset ${name}`, "sc", "1", namedDataSet(run, index), transferSyntax.explicitLittle),
    ),
  };
}

/** All of them in a list. */
export function allInstances(fixtures: Fixtures): Instance[] {
  return Object.values(fixtures).flat();
}

/** Patient A, first study. */
function adaStudy(run: Run): DataSet {
  return {
    PatientName: `Conf${run.letters}^Ada^Mary`,
    PatientID: run.patientId("A"),
    IssuerOfPatientID: `ISS${run.token}`,
    PatientBirthDate: run.date("birth of A"),
    PatientSex: "F",
    StudyDate: run.date("ct"),
    StudyTime: "101112.345",
    TimezoneOffsetFromUTC: "+0100",
    AccessionNumber: `AC${run.token}1`,
    ReferringPhysicianName: `Refer${run.letters}^Rosa`,
    StudyID: `ID${run.token}1`,
    StudyDescription: `Chest, PA & lateral 100% ${run.token}`,
  };
}

function ctDataSet(run: Run, number: number): DataSet {
  return {
    ...adaStudy(run),
    SOPClassUID: sopClass.ct,
    ImageType: ["ORIGINAL", "PRIMARY", "AXIAL"],
    Modality: "CT",
    SeriesNumber: 7,
    SeriesDescription: `Axial ${run.token}`,
    SeriesDate: run.date("ct"),
    SeriesTime: "1012",
    ContentDate: run.date("ct"),
    ContentTime: `10130${number}`,
    AcquisitionDateTime: `${run.date("ct")}10130${number}.5`,
    Manufacturer: "Noctis",
    StationName: `ST${run.token}`,
    InstitutionName: `Institute ${run.token}`,
    BodyPartExamined: "CHEST",
    ProtocolName: `Protocol ${run.token}`,
    PatientAge: "041Y",
    PatientWeight: "71.5",
    PerformedProcedureStepStartDate: run.date("step of ct"),
    PerformedProcedureStepStartTime: "093045",
    RequestAttributesSequence: [
      { ScheduledProcedureStepID: `SP${run.token}1`, RequestedProcedureID: `RP${run.token}1` },
      { ScheduledProcedureStepID: `SP${run.token}2`, RequestedProcedureID: `RP${run.token}2` },
    ],
    InstanceNumber: number,
    WindowCenter: "400",
    WindowWidth: "800",
    PixelSpacing: ["0.5", "0.5"],
    ...grayscale(8, 6, 16, 1),
  };
}

function mrDataSet(run: Run): DataSet {
  return {
    ...adaStudy(run),
    SOPClassUID: sopClass.mr,
    Modality: "MR",
    SeriesNumber: 8,
    SeriesDescription: `Sagittal ${run.token}`,
    PerformedProcedureStepStartDate: run.date("step of mr"),
    PerformedProcedureStepStartTime: "110000",
    InstanceNumber: 1,
    ...grayscale(4, 4, 16, 1),
  };
}

/** Patient B: names in three writings, no accession number, three frames. */
function cineDataSet(run: Run): DataSet {
  return {
    SpecificCharacterSet: "ISO_IR 192",
    SOPClassUID: sopClass.usMultiFrame,
    PatientName: `Yamada${run.letters}^Tarou=山田^太郎=やまだ^たろう`,
    PatientID: run.patientId("B"),
    PatientBirthDate: run.date("birth of B"),
    PatientSex: "M",
    StudyDate: run.date("cine"),
    StudyTime: "2359",
    AccessionNumber: "",
    ReferringPhysicianName: `Müller${run.letters}^Jörg`,
    StudyID: `ID${run.token}2`,
    Modality: "US",
    SeriesNumber: 1,
    InstanceNumber: 1,
    FrameTime: "40",
    FrameIncrementPointer: 0x00181063,
    ...grayscale(6, 4, 8, 3),
  };
}

/** Patient A, another study: JPEG baseline, two frames. */
function photoDataSet(run: Run): DataSet {
  return {
    ...adaStudy(run),
    StudyDate: run.date("photo"),
    StudyTime: "070809",
    AccessionNumber: `AC${run.token}3`,
    StudyID: `ID${run.token}3`,
    StudyDescription: `Photographs ${run.token}`,
    SOPClassUID: sopClass.usMultiFrame,
    Modality: "US",
    SeriesNumber: 1,
    InstanceNumber: 1,
    FrameTime: "40",
    FrameIncrementPointer: 0x00181063,
    SamplesPerPixel: 3,
    PhotometricInterpretation: "YBR_FULL_422",
    PlanarConfiguration: 0,
    NumberOfFrames: 2,
    Rows: 16,
    Columns: 16,
    BitsAllocated: 8,
    BitsStored: 8,
    HighBit: 7,
    PixelRepresentation: 0,
    LossyImageCompression: "01",
    PixelData: encapsulate(jpegFrames),
  };
}

function documentDataSet(run: Run): DataSet {
  return {
    ...run.scratchAttributes("document"),
    SOPClassUID: sopClass.encapsulatedPdf,
    PatientID: run.patientId("D"),
    Modality: "DOC",
    BurnedInAnnotation: "NO",
    DocumentTitle: "An empty page",
    MIMETypeOfEncapsulatedDocument: "application/pdf",
    EncapsulatedDocument: pdf,
  };
}

/** A data set with every VR (PS3.5 6.2), empty values, values within values, private and large ones. */
function formsDataSet(run: Run): DataSet {
  return {
    ...run.scratchAttributes("forms"),
    SpecificCharacterSet: "ISO_IR 192",
    SOPClassUID: sopClass.rawData,
    PatientID: run.patientId("E"),
    PatientName: `Forms${run.letters}^Ä=形=かた`,
    PatientAge: "041Y",
    PatientWeight: "71.50",
    PatientComments: "Line one\r\nline \\ two",
    ImageType: ["DERIVED", "", "OTHER"],
    AcquisitionDateTime: "20200102030405.678900+0100",
    StudyTime: "040506.7",
    SlopeInUse: [1.5, -0.25],
    FrameIncrementPointer: [0x00181063, 0x00181065],
    ConceptNameCodeSequence: [{ CodeValue: "1", CodingSchemeDesignator: "99CF", CodeMeaning: "Größe" }],
    ReferencedImageSequence: Buffer.alloc(0),
    "00091001:FL": 1,
    "00090010:LO": "NOCTIS CONFORMANCE",
    "00091002:SL": -2_000_000_000,
    "00091003:SS": [-1, 2],
    "00091004:UL": 4_000_000_000,
    "00091005:US": [65_535, 0],
    "00091006:SV": -9_007_199_254_740_993n,
    "00091007:UV": 18_446_744_073_709_551_615n,
    "00091008:UC": "A long text, unlimited",
    "00091009:UR": "http://example.org/a?b=c",
    "0009100A:UT": "Unlimited text ",
    "0009100B:ST": "Short text",
    "0009100C:OB": Buffer.from([1, 2, 3, 4]),
    "0009100D:OF": Buffer.from(new Float32Array([1, 2]).buffer),
    "0009100E:OD": Buffer.from(new Float64Array([1, 2]).buffer),
    "0009100F:OL": Buffer.from(new Uint32Array([1, 2]).buffer),
    "00091010:UN": Buffer.from([9, 8, 7, 6]),
    "00091011:OW": bulkValue,
    "00091012:IS": ["12", "-3"],
    "00091013:SQ": [{ "00090010:LO": "NOCTIS CONFORMANCE", "00091011:OB": bulkValue.subarray(0, 40_000) }],
    "00091014:OV": Buffer.from(new BigUint64Array([1n]).buffer),
  };
}

function syntaxDataSet(run: Run, number: number): DataSet {
  return {
    ...run.scratchAttributes("syntaxes"),
    PatientID: run.patientId("F"),
    SeriesNumber: number,
    ...grayscale(4, 4, 16, 1),
  };
}

/** Samples of the RLE instance, as they are before their compression. */
export const losslessSamples = Buffer.from(Array.from({ length: 64 }, (_, index) => (index * 37) % 256));

function losslessDataSet(run: Run): DataSet {
  return {
    ...run.scratchAttributes("syntaxes"),
    ...grayscale(8, 8, 8, 1),
    PatientID: run.patientId("F"),
    SeriesNumber: 3,
    PixelData: encapsulate([runLengthEncode(losslessSamples)]),
  };
}

function namedDataSet(run: Run, index: number): DataSet {
  const { terms, bytes } = characterSets[index] ?? { terms: "", bytes: Buffer.alloc(0) };
  return {
    ...run.scratchAttributes("charset"),
    ...grayscale(4, 4, 8, 1),
    SpecificCharacterSet: terms,
    PatientID: run.patientId(`N${index}`),
    PatientName: bytes,
  };
}
