/** Measures searches of a large catalog, each kind of key: `node bench/search.ts [studies]`, 100,000 unless it says so. */
import { fillNameKeys } from "../server/archive/fill-name-keys.ts";
import { parseQuery, type SearchScope } from "../server/archive/query.ts";
import { search } from "../server/archive/search.ts";
import { createCatalog } from "../storage/catalog.ts";
import { connectDatabase } from "../storage/database.ts";
import { testDatabase } from "../tests/support/postgres.ts";
import { seedStudies } from "./seed-studies.ts";

const studies = Number(process.argv[2] ?? 100_000);
const rounds = 7;

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
  await timed(`${studies} studies seeded`, () => seedStudies(knex, studies));
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
