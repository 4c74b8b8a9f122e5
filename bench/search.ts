/** Measures searches of a large catalog, each kind of key: `node bench/search.ts [studies]`, 100,000 unless it says so. */
import type { Knex } from "knex";
import { fillNameKeys } from "../server/archive/fill-name-keys.ts";
import { parseQuery, type SearchScope } from "../server/archive/query.ts";
import { search } from "../server/archive/search.ts";
import { createCatalog } from "../storage/catalog.ts";
import { connectDatabase } from "../storage/database.ts";
import { testDatabase } from "../tests/support/postgres.ts";

const studies = Number(process.argv[2] ?? 100_000);
const rounds = 7;

/** Families, given names and descriptions, so that a key finds one in some hundreds. */
const words = {
  families: ["Müller", "Smith", "Nguyen", "García", "Kowalski", "O'Brien", "Sørensen", "Yilmaz", "Rossi", "Dubois"],
  given: ["Anna", "Jon", "Linh", "José", "Marta", "Séan", "Søren", "Elif", "Luca", "Chloé"],
  descriptions: ["Head", "Chest", "Abdomen", "Knee", "Spine", "Pelvis", "Shoulder", "Neck"],
};

/** Two series a study, three instances a series, three studies a patient; dates over ten years. */
async function seed(knex: Knex): Promise<void> {
  await knex.raw(
    `insert into study (study_instance_uid, study_date, study_time, accession_number, study_id, study_description,
       patient_name, patient_id, patient_birth_date, patient_sex, attributes)
     select uid, day, time '07:00' + n % 40000 * interval '1 second', accession, n::text, description,
       '=' || name || '===', patient, date '1940-01-01' + n % 25000, 'F',
       jsonb_build_object(
         '00080020', jsonb_build_object('vr', 'DA', 'Value', jsonb_build_array(to_char(day, 'YYYYMMDD'))),
         '00080030', jsonb_build_object('vr', 'TM', 'Value', jsonb_build_array(
           to_char(time '07:00' + n % 40000 * interval '1 second', 'HH24MISS'))),
         '00080050', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array(accession)),
         '00081030', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(description)),
         '00100010', jsonb_build_object('vr', 'PN', 'Value', jsonb_build_array(jsonb_build_object('Alphabetic', name))),
         '00100020', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array(patient)),
         '00101010', jsonb_build_object('vr', 'AS', 'Value', jsonb_build_array(lpad((n % 90)::text, 3, '0') || 'Y')),
         '00101030', jsonb_build_object('vr', 'DS', 'Value', jsonb_build_array(40 + n % 8000 / 100.0)),
         '0020000D', jsonb_build_object('vr', 'UI', 'Value', jsonb_build_array(uid)))
     from (
       select n, '1.2.3.' || n as uid, date '2014-01-01' + (n * 7919 % 3650)::integer as day, 'ACC' || n as accession,
         (?::text[])[n % 8 + 1] || ' protocol ' || n % 500 as description, 'PAT' || n / 3 as patient,
         (?::text[])[n / 3 % 10 + 1] || chr(97 + (n / 30 % 26)::integer) || '^' || (?::text[])[n / 70 % 10 + 1] as name
       from generate_series(1, ?::integer) as n
     ) as made`,
    [words.descriptions, words.families, words.given, studies],
  );
  await knex.raw(
    `insert into series (study_id, series_instance_uid, modality, series_number, series_description, instance_count, attributes)
     select study.id, study_instance_uid || '.' || s, modality, s, 'Series ' || s, 3, jsonb_build_object(
       '00080060', jsonb_build_object('vr', 'CS', 'Value', jsonb_build_array(modality)),
       '00080070', jsonb_build_object('vr', 'LO', 'Value', jsonb_build_array('Maker ' || study.id % 20)),
       '00400275', jsonb_build_object('vr', 'SQ', 'Value', jsonb_build_array(jsonb_build_object(
         '00400009', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array('SPS' || study.id)),
         '00401001', jsonb_build_object('vr', 'SH', 'Value', jsonb_build_array('RP' || study.id))))))
     from study, generate_series(1, 2) as s,
       lateral (select (array['CT','MR','US','CR','DX','PT'])[(study.id * s + s) % 6 + 1] as modality) as of_series`,
  );
  await knex.raw(
    `insert into instance (series_id, sop_instance_uid, sop_class_uid, instance_number, attributes, metadata,
       transfer_syntax_uid, blob_key, byte_length, sha256, data_set_offset)
     select series.id, series_instance_uid || '.' || i, '1.2.840.10008.5.1.4.1.1.' || series.id % 300, i,
       jsonb_build_object('0008002A', jsonb_build_object('vr', 'DT', 'Value', jsonb_build_array('20200102030405.5+0100'))),
       '', '1.2', 'seeded/' || series.id || '/' || i, 1, '', 0
     from series, generate_series(1, 3) as i`,
  );
}

const day = "20200701";
const cases: readonly (readonly [
  what: string,
  level: SearchScope["level"],
  query: Readonly<Record<string, string>>,
])[] = [
  ["no key", "study", {}],
  ["UID", "study", { StudyInstanceUID: "1.2.3.77" }],
  ["literal: PatientID", "study", { PatientID: "PAT777" }],
  ["wildcard, begin fixed: PatientID", "study", { PatientID: "PAT777*" }],
  ["wildcard: *777* of PatientID", "study", { PatientID: "*777*" }],
  ["wildcard: *777* of AccessionNumber", "study", { AccessionNumber: "*7777*" }],
  ["wildcard: StudyDescription", "study", { StudyDescription: "*protocol 77*" }],
  ["wildcard that nothing meets", "study", { StudyDescription: "*no such*" }],
  ["name, literal", "study", { PatientName: "nguyenc^jon" }],
  ["name, wildcard", "study", { PatientName: "*nguyenc*" }],
  ["name that nobody has", "study", { PatientName: "*nobody*" }],
  ["name, fuzzy", "study", { PatientName: "nguyen jose", fuzzymatching: "true" }],
  ["name, fuzzy, with accents", "study", { PatientName: "soerensend sean", fuzzymatching: "true" }],
  ["name, fuzzy, nobody", "study", { PatientName: "xavier quux", fuzzymatching: "true" }],
  ["name, fuzzy with wildcards", "study", { PatientName: "*kowal*", fuzzymatching: "true" }],
  ["one day", "study", { StudyDate: day }],
  ["range of dates", "study", { StudyDate: "20200101-20201231" }],
  ["date and time combined", "study", { StudyDate: `${day}-20200702`, StudyTime: "1600-0900" }],
  ["date in another time zone", "study", { StudyDate: day, TimezoneOffsetFromUTC: "+0100" }],
  ["range of times", "study", { StudyTime: "1000-1001" }],
  ["ModalitiesInStudy", "study", { ModalitiesInStudy: "PT" }],
  ["ModalitiesInStudy that none has", "study", { ModalitiesInStudy: "XA" }],
  ["ModalitiesInStudy, both of two", "study", { ModalitiesInStudy: "CT,MR", multiplevaluematching: "true" }],
  ["SOPClassesInStudy", "study", { SOPClassesInStudy: "1.2.840.10008.5.1.4.1.1.77" }],
  ["NumberOfStudyRelatedInstances", "study", { NumberOfStudyRelatedInstances: "7" }],
  ["document, single value: PatientAge", "study", { PatientAge: "042Y", PatientWeight: "66.6" }],
  ["document, wildcard: EthnicGroup", "study", { EthnicGroup: "A*" }],
  ["empty value: PatientComments", "study", { PatientComments: '""', emptyvaluematching: "true" }],
  ["empty value: AccessionNumber (none is)", "study", { AccessionNumber: '""', emptyvaluematching: "true" }],
  ["item of a sequence, literal", "series", { "RequestAttributesSequence.ScheduledProcedureStepID": "SPS777" }],
  ["item of a sequence, wildcard", "series", { "RequestAttributesSequence.ScheduledProcedureStepID": "SPS7777*" }],
  ["document of series, literal", "series", { Manufacturer: "Maker 7", Modality: "PT" }],
  ["Modality", "series", { Modality: "MR" }],
  ["patient of all series", "series", { PatientID: "PAT777" }],
  ["SOPClassUID", "instance", { SOPClassUID: "1.2.840.10008.5.1.4.1.1.77" }],
  ["DT in a study", "instance", { StudyInstanceUID: "1.2.3.77", AcquisitionDateTime: "20200102020405+0000" }],
  ["fuzzy name of all instances", "instance", { PatientName: "nguyen jose", fuzzymatching: "true" }],
];

const database = await testDatabase();
try {
  const knex = await connectDatabase({ url: database.url, statementTimeout: 0 });
  const catalog = createCatalog(knex);
  await timed(`${studies} studies seeded`, () => seed(knex));
  await timed("keys of names filled in", () => fillNameKeys(catalog, new AbortController().signal));
  await timed("analyzed", async () => void (await knex.raw("vacuum analyze")));
  for (const [what, level, query] of cases) {
    const times: number[] = [];
    let found = 0;
    for (let round = 0; round <= rounds; round += 1) {
      const begun = performance.now();
      found = 0;
      const parameters: readonly (readonly [string, string])[] = [...Object.entries(query), ["limit", "101"]];
      const { answers } = await search(catalog, parseQuery({ level }, parameters), (path) => path);
      for await (const _answer of answers) found += 1;
      if (round > 0) times.push(performance.now() - begun);
    }
    const [fastest, median] = [
      Math.min(...times),
      times.sort((one, other) => one - other)[Math.floor(rounds / 2)] ?? 0,
    ];
    say(
      `${what.padEnd(42)} ${level.padEnd(9)} ${fastest.toFixed(1).padStart(8)} ${median.toFixed(1).padStart(8)} ms ${found}`,
    );
  }
  await knex.destroy();
} finally {
  await database.drop();
}

async function timed(what: string, work: () => Promise<void>): Promise<void> {
  const begun = performance.now();
  await work();
  say(`${what} in ${((performance.now() - begun) / 1000).toFixed(1)} s`);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
