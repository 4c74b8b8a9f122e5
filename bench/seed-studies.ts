/** A large catalog without objects, for measurements of searches. */
import type { Knex } from "knex";

/** Families, given names and descriptions, so that a key finds one in some hundreds. */
const words = {
  families: ["Müller", "Smith", "Nguyen", "García", "Kowalski", "O'Brien", "Sørensen", "Yilmaz", "Rossi", "Dubois"],
  given: ["Anna", "Jon", "Linh", "José", "Marta", "Séan", "Søren", "Elif", "Luca", "Chloé"],
  descriptions: ["Head", "Chest", "Abdomen", "Knee", "Spine", "Pelvis", "Shoulder", "Neck"],
};

/** Two series a study, three instances a series, three studies a patient; dates over ten years. */
export async function seedStudies(knex: Knex, studies: number): Promise<void> {
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
