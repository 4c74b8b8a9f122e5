/** The attributes that the suite writes and asks for: keyword, tag and VR as PS3.6 has them. */

type Row = readonly [keyword: string, tag: string, vr: string];

const rows: readonly Row[] = [
  ["MediaStorageSOPClassUID", "00020002", "UI"],
  ["MediaStorageSOPInstanceUID", "00020003", "UI"],
  ["TransferSyntaxUID", "00020010", "UI"],
  ["ImplementationClassUID", "00020012", "UI"],
  ["SpecificCharacterSet", "00080005", "CS"],
  ["ImageType", "00080008", "CS"],
  ["SOPClassUID", "00080016", "UI"],
  ["SOPInstanceUID", "00080018", "UI"],
  ["StudyDate", "00080020", "DA"],
  ["SeriesDate", "00080021", "DA"],
  ["ContentDate", "00080023", "DA"],
  ["AcquisitionDateTime", "0008002A", "DT"],
  ["StudyTime", "00080030", "TM"],
  ["SeriesTime", "00080031", "TM"],
  ["ContentTime", "00080033", "TM"],
  ["AccessionNumber", "00080050", "SH"],
  ["InstanceAvailability", "00080056", "CS"],
  ["Modality", "00080060", "CS"],
  ["ModalitiesInStudy", "00080061", "CS"],
  ["SOPClassesInStudy", "00080062", "UI"],
  ["ConversionType", "00080064", "CS"],
  ["Manufacturer", "00080070", "LO"],
  ["InstitutionName", "00080080", "LO"],
  ["ReferringPhysicianName", "00080090", "PN"],
  ["CodeValue", "00080100", "SH"],
  ["CodingSchemeDesignator", "00080102", "SH"],
  ["CodeMeaning", "00080104", "LO"],
  ["TimezoneOffsetFromUTC", "00080201", "SH"],
  ["StationName", "00081010", "SH"],
  ["StudyDescription", "00081030", "LO"],
  ["SeriesDescription", "0008103E", "LO"],
  ["TransactionUID", "00081195", "UI"],
  ["ReferencedSOPClassUID", "00081150", "UI"],
  ["ReferencedSOPInstanceUID", "00081155", "UI"],
  ["RetrieveURL", "00081190", "UR"],
  ["WarningReason", "00081196", "US"],
  ["FailureReason", "00081197", "US"],
  ["FailedSOPSequence", "00081198", "SQ"],
  ["ReferencedSOPSequence", "00081199", "SQ"],
  ["OtherFailuresSequence", "0008119A", "SQ"],
  ["ReferencedImageSequence", "00081140", "SQ"],
  ["PatientName", "00100010", "PN"],
  ["PatientID", "00100020", "LO"],
  ["IssuerOfPatientID", "00100021", "LO"],
  ["PatientBirthDate", "00100030", "DA"],
  ["PatientSex", "00100040", "CS"],
  ["PatientAge", "00101010", "AS"],
  ["PatientWeight", "00101030", "DS"],
  ["PatientComments", "00104000", "LT"],
  ["BodyPartExamined", "00180015", "CS"],
  ["ProtocolName", "00181030", "LO"],
  ["StudyInstanceUID", "0020000D", "UI"],
  ["SeriesInstanceUID", "0020000E", "UI"],
  ["StudyID", "00200010", "SH"],
  ["SeriesNumber", "00200011", "IS"],
  ["InstanceNumber", "00200013", "IS"],
  ["NumberOfPatientRelatedStudies", "00201200", "IS"],
  ["NumberOfPatientRelatedSeries", "00201202", "IS"],
  ["NumberOfPatientRelatedInstances", "00201204", "IS"],
  ["NumberOfStudyRelatedSeries", "00201206", "IS"],
  ["NumberOfStudyRelatedInstances", "00201208", "IS"],
  ["NumberOfSeriesRelatedInstances", "00201209", "IS"],
  ["SamplesPerPixel", "00280002", "US"],
  ["PhotometricInterpretation", "00280004", "CS"],
  ["PlanarConfiguration", "00280006", "US"],
  ["NumberOfFrames", "00280008", "IS"],
  ["FrameIncrementPointer", "00280009", "AT"],
  ["Rows", "00280010", "US"],
  ["Columns", "00280011", "US"],
  ["PixelSpacing", "00280030", "DS"],
  ["BitsAllocated", "00280100", "US"],
  ["BitsStored", "00280101", "US"],
  ["HighBit", "00280102", "US"],
  ["PixelRepresentation", "00280103", "US"],
  ["BurnedInAnnotation", "00280301", "CS"],
  ["WindowCenter", "00281050", "DS"],
  ["WindowWidth", "00281051", "DS"],
  ["LossyImageCompression", "00282110", "CS"],
  ["PerformedProcedureStepStartDate", "00400244", "DA"],
  ["PerformedProcedureStepStartTime", "00400245", "TM"],
  ["RequestAttributesSequence", "00400275", "SQ"],
  ["ScheduledProcedureStepID", "00400009", "SH"],
  ["RequestedProcedureID", "00401001", "SH"],
  ["ConceptNameCodeSequence", "0040A043", "SQ"],
  ["DocumentTitle", "00420010", "ST"],
  ["EncapsulatedDocument", "00420011", "OB"],
  ["MIMETypeOfEncapsulatedDocument", "00420012", "LO"],
  ["FrameTime", "00181063", "DS"],
  ["SlopeInUse", "0018605C", "FD"],
  ["ContentLabel", "00700080", "CS"],
  ["PixelData", "7FE00010", "OW"],
];

/** Tag (eight upper-case hexadecimal digits) and VR of one attribute. */
export interface DictionaryEntry {
  readonly tag: string;
  readonly vr: string;
}

const byKeyword: ReadonlyMap<string, DictionaryEntry> = new Map(
  rows.map(([keyword, tag, vr]) => [keyword, { tag, vr }]),
);

/** The entry of a keyword, or of a name like `00091001:LO`. Throws TypeError when there is none. */
export function entryOf(name: string): DictionaryEntry {
  const known = byKeyword.get(name);
  if (known) return known;
  const literal = /^([0-9A-F]{8}):([A-Z]{2})$/.exec(name);
  if (literal?.[1] === undefined || literal[2] === undefined) throw new TypeError(`${name} is not in the dictionary`);
  return { tag: literal[1], vr: literal[2] };
}

/** The tag of a keyword. */
export function tagOf(name: string): string {
  return entryOf(name).tag;
}
