-- The catalog: study, series and instance. A row exists when the bytes of its instance are durable, and not before.

create table study (
  id bigint generated always as identity primary key,
  study_instance_uid text not null unique,
  -- Matching keys (PS3.18 Table 10.6.1-5). Null where a value is absent or ill-formed: strict to index.
  study_date date,
  study_time time(6),
  accession_number text,
  study_id text,
  study_description text,
  -- Names keep their component groups: =Alphabetic=Ideographic=Phonetic=
  referring_physician_name text,
  patient_name text,
  patient_id text,
  issuer_of_patient_id text,
  patient_birth_date date,
  patient_sex text,
  -- DICOM JSON of the study level.
  attributes jsonb not null,
  created_at timestamptz not null default now()
);

create index study_newest on study (study_date desc nulls last, study_time desc nulls last, id desc);
create index study_patient_id on study (patient_id);
create index study_accession_number on study (accession_number);

create table series (
  id bigint generated always as identity primary key,
  study_id bigint not null references study (id) on delete cascade,
  series_instance_uid text not null,
  modality text,
  series_number bigint,
  series_description text,
  series_date date,
  series_time time(6),
  body_part_examined text,
  station_name text,
  institution_name text,
  performing_physician_name text,
  protocol_name text,
  performed_procedure_step_start_date date,
  performed_procedure_step_start_time time(6),
  performed_procedure_step_id text,
  -- DICOM JSON of the series level.
  attributes jsonb not null,
  instance_count bigint not null default 0,
  -- Raised by every transaction that changes an instance of the series: the key of cached series documents.
  revision bigint not null default 0,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  unique (study_id, series_instance_uid)
);

create index series_uid on series (series_instance_uid);
create index series_modality on series (modality, study_id);

create table instance (
  id bigint generated always as identity primary key,
  series_id bigint not null references series (id) on delete cascade,
  sop_instance_uid text not null,
  sop_class_uid text not null,
  instance_number bigint,
  content_date date,
  content_time time(6),
  acquisition_date date,
  acquisition_time time(6),
  number_of_frames bigint,
  -- DICOM JSON of the instance level that a search answers.
  attributes jsonb not null,
  -- DICOM JSON of the whole data set, raw deflate (RFC 1951).
  metadata bytea not null,
  transfer_syntax_uid text not null,
  blob_key text not null unique,
  byte_length bigint not null,
  sha256 bytea not null,
  -- Where the data set begins in the object: behind it, offsets in a deflated file count inflated bytes.
  data_set_offset integer not null,
  -- Where the frames lie in the object: server/dicom/frame-table.ts. Null when it has none.
  frame_table bytea,
  -- Where the values lie that are not inline in the metadata, by path. Null when there are none.
  bulk_data jsonb,
  -- What was wrong with the instance and was stored all the same.
  warnings jsonb,
  created_at timestamptz not null default now(),
  unique (series_id, sop_instance_uid)
);

create index instance_sop_instance_uid on instance (sop_instance_uid);
create index instance_order on instance (series_id, instance_number, id);

-- The metadata is compressed already.
alter table instance alter column metadata set storage external;
