/** THE table of attributes by level: what a search answers and matches, and what of it lies in a column. */
import { entryOfKeyword, tagHex } from "../dicom/dictionary.ts";

/** Levels of the information model (PS3.4 C.6). Patient attributes belong to the study level, as in PS3.18 10.6. */
export type Level = "study" | "series" | "instance";

/** Levels of a search: a patient is told by the newest of its studies. */
export type SearchLevel = Level | "patient";

export interface LevelAttribute {
  readonly keyword: string;
  /** Eight upper-case hexadecimal digits. */
  readonly tag: string;
  readonly vr: string;
  readonly level: Level;
  /** Column of the catalog, which an index may find; an attribute without one is matched in the document of its level. */
  readonly column?: string;
  /** Answered by every search of its level (PS3.18 Tables 10.6.3-3, -4, -5); the others by includefield. */
  readonly byDefault: boolean;
}

type Row = readonly [keyword: string, column?: string];

/** Answered without being asked for. */
const required: Readonly<Record<Level, readonly Row[]>> = {
  study: [
    ["SpecificCharacterSet"],
    ["StudyDate", "study_date"],
    ["StudyTime", "study_time"],
    ["AccessionNumber", "accession_number"],
    ["ReferringPhysicianName", "referring_physician_name"],
    ["TimezoneOffsetFromUTC"],
    ["PatientName", "patient_name"],
    ["PatientID", "patient_id"],
    ["PatientBirthDate", "patient_birth_date"],
    ["PatientSex", "patient_sex"],
    ["StudyInstanceUID", "study_instance_uid"],
    ["StudyID", "study_id"],
  ],
  series: [
    ["Modality", "modality"],
    ["SeriesDescription", "series_description"],
    ["SeriesInstanceUID", "series_instance_uid"],
    ["SeriesNumber", "series_number"],
    ["PerformedProcedureStepStartDate", "performed_procedure_step_start_date"],
    ["PerformedProcedureStepStartTime", "performed_procedure_step_start_time"],
    ["RequestAttributesSequence"],
  ],
  instance: [
    ["SOPClassUID", "sop_class_uid"],
    ["SOPInstanceUID", "sop_instance_uid"],
    ["InstanceNumber", "instance_number"],
    ["NumberOfFrames", "number_of_frames"],
    ["Rows"],
    ["Columns"],
    ["BitsAllocated"],
  ],
};

/** Answered when includefield names them, or `all`. */
const optional: Readonly<Record<Level, readonly Row[]>> = {
  study: [
    ["StudyDescription", "study_description"],
    ["IssuerOfPatientID", "issuer_of_patient_id"],
    ["OtherPatientIDsSequence"],
    ["OtherPatientNames"],
    ["PatientBirthTime"],
    ["PatientAge"],
    ["PatientSize"],
    ["PatientWeight"],
    ["EthnicGroup"],
    ["PatientComments"],
    ["ResponsiblePerson"],
    ["PatientSpeciesDescription"],
    ["PatientBreedDescription"],
    ["PatientIdentityRemoved"],
    ["DeidentificationMethod"],
    ["IssuerOfAccessionNumberSequence"],
    ["ReferringPhysicianIdentificationSequence"],
    ["PhysiciansOfRecord"],
    ["NameOfPhysiciansReadingStudy"],
    ["RequestingService"],
    ["ReferencedStudySequence"],
    ["ProcedureCodeSequence"],
    ["ReasonForPerformedProcedureCodeSequence"],
    ["AdmittingDiagnosesDescription"],
    ["AdmissionID"],
    ["Occupation"],
    ["AdditionalPatientHistory"],
  ],
  series: [
    ["SeriesDate", "series_date"],
    ["SeriesTime", "series_time"],
    ["BodyPartExamined", "body_part_examined"],
    ["StationName", "station_name"],
    ["InstitutionName", "institution_name"],
    ["InstitutionalDepartmentName"],
    ["PerformingPhysicianName"],
    ["OperatorsName"],
    ["ProtocolName", "protocol_name"],
    ["PerformedProcedureStepID", "performed_procedure_step_id"],
    ["PerformedProcedureStepDescription"],
    ["PerformedProtocolCodeSequence"],
    ["Laterality"],
    ["PatientPosition"],
    ["AnatomicalOrientationType"],
    ["Manufacturer"],
    ["ManufacturerModelName"],
    ["DeviceSerialNumber"],
    ["SoftwareVersions"],
    ["FrameOfReferenceUID"],
    ["PositionReferenceIndicator"],
    ["SeriesDescriptionCodeSequence"],
    ["ReferencedPerformedProcedureStepSequence"],
    ["TreatmentSessionUID"],
  ],
  instance: [
    ["ContentDate", "content_date"],
    ["ContentTime", "content_time"],
    ["AcquisitionDate", "acquisition_date"],
    ["AcquisitionTime", "acquisition_time"],
    ["AcquisitionDateTime"],
    ["AcquisitionNumber"],
    ["ImageType"],
    ["InstanceCreationDate"],
    ["InstanceCreationTime"],
    ["ContentLabel"],
    ["ContentDescription"],
    ["ContentCreatorName"],
    ["ConceptNameCodeSequence"],
    ["ReferencedRequestSequence"],
    ["CompletionFlag"],
    ["VerificationFlag"],
    ["DocumentTitle"],
    ["SamplesPerPixel"],
    ["PhotometricInterpretation"],
    ["BitsStored"],
    ["PixelRepresentation"],
    ["PixelSpacing"],
    ["ImagePositionPatient"],
    ["ImageOrientationPatient"],
    ["SliceLocation"],
    ["SliceThickness"],
    ["ImageComments"],
    ["LossyImageCompression"],
  ],
};

function attribute(level: Level, byDefault: boolean, [keyword, column]: Row): LevelAttribute {
  const entry = entryOfKeyword(keyword);
  if (!entry) throw new TypeError(`${keyword} is not in the data dictionary`);
  const base = { keyword, tag: tagHex(entry.tag), vr: entry.vr, level, byDefault };
  return column === undefined ? base : { ...base, column };
}

const levels: readonly Level[] = ["study", "series", "instance"];

/** Every attribute that the catalog keeps for searches. */
export const levelAttributes: readonly LevelAttribute[] = levels.flatMap((level) => [
  ...required[level].map((row) => attribute(level, true, row)),
  ...optional[level].map((row) => attribute(level, false, row)),
]);

/** Answered by every search, whatever its level (PS3.18 Tables 10.6.3-3, -4, -5): how the rest is to be read. */
export const ofEveryLevel: ReadonlySet<string> = new Set(["00080005", "00080201"]);

/** The same by tag. */
export const attributeByTag: ReadonlyMap<string, LevelAttribute> = new Map(
  levelAttributes.map((attributeOfLevel) => [attributeOfLevel.tag, attributeOfLevel]),
);

/** The same by level. */
export const attributesOfLevel: Readonly<Record<Level, readonly LevelAttribute[]>> = {
  study: levelAttributes.filter(({ level }) => level === "study"),
  series: levelAttributes.filter(({ level }) => level === "series"),
  instance: levelAttributes.filter(({ level }) => level === "instance"),
};

const patientKeywords = [
  "SpecificCharacterSet",
  "PatientName",
  "PatientID",
  "IssuerOfPatientID",
  "PatientBirthDate",
  "PatientBirthTime",
  "PatientSex",
  "OtherPatientIDsSequence",
  "OtherPatientNames",
  "EthnicGroup",
  "PatientComments",
  "ResponsiblePerson",
  "PatientSpeciesDescription",
  "PatientBreedDescription",
  "PatientIdentityRemoved",
  "DeidentificationMethod",
];

/** Attributes of the study level that are of the patient (PS3.3 C.7.1.1), by tag. */
export const patientAttributes: ReadonlyMap<string, LevelAttribute> = new Map(
  levelAttributes.flatMap((each) => (patientKeywords.includes(each.keyword) ? [[each.tag, each]] : [])),
);

/** Answered by every search for patients: besides those of a study, what tells patients of two issuers apart. */
export const patientDefaults: ReadonlySet<string> = new Set(
  [...patientAttributes.values()].flatMap(({ byDefault, keyword, tag }) =>
    byDefault || keyword === "IssuerOfPatientID" ? [tag] : [],
  ),
);

/** Attributes of a search answer that no instance carries: they are counted or made (PS3.4 C.3.4, PS3.18 10.6.3). */
export const computed = {
  instanceAvailability: "00080056",
  modalitiesInStudy: "00080061",
  sopClassesInStudy: "00080062",
  retrieveUrl: "00081190",
  numberOfPatientRelatedStudies: "00201200",
  numberOfPatientRelatedSeries: "00201202",
  numberOfPatientRelatedInstances: "00201204",
  numberOfStudyRelatedSeries: "00201206",
  numberOfStudyRelatedInstances: "00201208",
  numberOfSeriesRelatedInstances: "00201209",
  availableTransferSyntaxUid: "00083002",
} as const;

/** Those of them that are read off the series of a study, or the studies of a patient. */
export const relatedAttributes: readonly string[] = [
  computed.modalitiesInStudy,
  computed.numberOfPatientRelatedStudies,
  computed.numberOfPatientRelatedSeries,
  computed.numberOfPatientRelatedInstances,
  computed.numberOfStudyRelatedSeries,
  computed.numberOfStudyRelatedInstances,
];
