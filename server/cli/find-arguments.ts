/** The arguments of `noctis find`, checked: what to look for, at which level, as an identifier. */
import { parseArgs } from "node:util";
import { entryOfKeyword, entryOfTag, type DictionaryEntry, tagHex } from "../dicom/dictionary.ts";
import type { DicomJson, JsonValue } from "../dicom/json.ts";
import type { QueryRetrieveLevel } from "../dimse/information-models.ts";
import { type ModelName, models } from "../dimse/scu-find.ts";
import { parsePeerWord } from "./peer-word.ts";

export interface FindArguments {
  readonly peer: string;
  readonly model: ModelName;
  readonly level: QueryRetrieveLevel;
  readonly isRelational: boolean;
  readonly keys: DicomJson;
  /** Tags of the attributes that are shown, in order. */
  readonly columns: readonly string[];
  /** Most matches; Infinity for all. */
  readonly limit: number;
  readonly json: boolean;
}

/** Levels by the words of the command line. */
const levelWords = { patient: "PATIENT", study: "STUDY", series: "SERIES", instance: "IMAGE" } as const;

/** What is asked for and shown at each level. */
const returned: Readonly<Record<QueryRetrieveLevel, readonly string[]>> = {
  PATIENT: ["PatientID", "PatientName", "PatientBirthDate", "PatientSex"],
  STUDY: [
    "StudyDate",
    "StudyTime",
    "PatientID",
    "PatientName",
    "AccessionNumber",
    "ModalitiesInStudy",
    "StudyDescription",
    "NumberOfStudyRelatedInstances",
    "StudyInstanceUID",
  ],
  SERIES: ["Modality", "SeriesNumber", "SeriesDescription", "NumberOfSeriesRelatedInstances", "SeriesInstanceUID"],
  IMAGE: ["InstanceNumber", "SOPClassUID", "SOPInstanceUID"],
};

/** VRs whose values are numbers in DICOM JSON (PS3.18 Table F.2.3-1). */
const numberVrs = new Set(["DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"]);

/** @throws Error with a sentence for the user when they are not understood */
export function parseFindArguments(args: readonly string[]): FindArguments {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      level: { type: "string" },
      model: { type: "string" },
      patient: { type: "string" },
      study: { type: "string" },
      series: { type: "string" },
      return: { type: "string", multiple: true, default: [] },
      limit: { type: "string", default: "1000" },
      relational: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
    },
  });
  const [peer, ...pairs] = positionals;
  const word =
    values.level ?? (values.series !== undefined ? "instance" : values.study !== undefined ? "series" : "study");
  if (!isLevelWord(word)) throw new Error("--level must be patient, study, series or instance.");
  const level = levelWords[word];
  const model = values.model ?? (level === "PATIENT" ? "patient" : "study");
  if (!isModelName(model)) throw new Error("--model must be patient or study.");
  if (level === "PATIENT" && model === "study") throw new Error("--level patient goes with --model patient.");
  if (!/^\d{1,9}$/.test(values.limit)) throw new Error("--limit must be a number; 0 for all.");
  const asked = values.return.flatMap((list) => list.split(",")).map((name) => entryOf(name.trim()));
  const matched = [
    ...uniqueKeys(values),
    ...pairs.map((pair) => {
      const at = pair.indexOf("=");
      if (at < 1) throw new Error(`${JSON.stringify(pair)} is not of the form KEY=VALUE.`);
      return [entryOf(pair.slice(0, at)), pair.slice(at + 1)] as const;
    }),
  ];
  const columns = [...returned[level].map(entryOf), ...asked, ...matched.map(([entry]) => entry)];
  return {
    peer: parsePeerWord(peer),
    model,
    level,
    isRelational: values.relational,
    keys: {
      ...Object.fromEntries(columns.map(({ tag, vr }) => [tagHex(tag), { vr }])),
      ...Object.fromEntries(matched.map(([entry, text]) => [tagHex(entry.tag), attributeOf(entry, text)])),
    },
    columns: [...new Set(columns.map(({ tag }) => tagHex(tag)))],
    limit: Number(values.limit) || Number.POSITIVE_INFINITY,
    json: values.json,
  };
}

function isLevelWord(word: string): word is keyof typeof levelWords {
  return Object.hasOwn(levelWords, word);
}

function isModelName(word: string): word is ModelName {
  return Object.hasOwn(models, word);
}

function uniqueKeys(values: {
  readonly patient?: string | undefined;
  readonly study?: string | undefined;
  readonly series?: string | undefined;
}): (readonly [DictionaryEntry, string])[] {
  const { patient, study, series } = values;
  const all = { PatientID: patient, StudyInstanceUID: study, SeriesInstanceUID: series };
  return Object.entries(all).flatMap(([keyword, text]) =>
    text === undefined ? [] : [[entryOf(keyword), text] as const],
  );
}

/** An attribute by its keyword, or by its tag as 00100020 or 0010,0020. */
function entryOf(name: string): DictionaryEntry {
  const digits = /^\(?([0-9a-f]{4}),?([0-9a-f]{4})\)?$/i.exec(name);
  const entry = digits ? entryOfTag(Number.parseInt(`${digits[1]}${digits[2]}`, 16)) : entryOfKeyword(name);
  if (!entry) throw new Error(`${JSON.stringify(name)} is not the keyword or the tag of an attribute.`);
  if (entry.vr === "SQ") throw new Error(`${name} is a sequence, which cannot be a key here.`);
  return entry;
}

/** Several values are joined by backslash, as in DICOM. */
function attributeOf({ vr }: DictionaryEntry, text: string): DicomJson[string] {
  if (text === "") return { vr };
  return { vr, Value: text.split("\\").map((value) => valueOf(vr, value)) };
}

function valueOf(vr: string, text: string): JsonValue {
  if (vr === "PN") {
    const [Alphabetic = "", Ideographic = "", Phonetic = ""] = text.split("=");
    return { ...(Alphabetic && { Alphabetic }), ...(Ideographic && { Ideographic }), ...(Phonetic && { Phonetic }) };
  }
  const isNumber = numberVrs.has(vr) && text !== "" && Number.isFinite(Number(text));
  return isNumber ? Number(text) : text;
}
