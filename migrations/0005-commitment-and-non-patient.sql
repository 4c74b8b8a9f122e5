-- Storage commitment by REST (PS3.18 13) and instances that belong to no patient (PS3.18 12).

create table commitment (
  transaction_uid text primary key,
  -- The references of the request, until they are answered.
  request jsonb,
  -- The outcome; null while the request is being worked on, and again when it has been forgotten.
  result jsonb,
  finished_at timestamptz,
  created_at timestamptz not null default now()
);

create index commitment_unfinished on commitment (created_at) where finished_at is null;
create index commitment_finished on commitment (finished_at) where result is not null;

create table non_patient_instance (
  id bigint generated always as identity primary key,
  sop_instance_uid text not null unique,
  sop_class_uid text not null,
  -- The category that is its resource: color-palettes and the like.
  category text not null,
  -- DICOM JSON of the data set without its bulk data: what a search matches and answers.
  attributes jsonb not null,
  -- DICOM JSON of the whole data set, raw deflate (RFC 1951).
  metadata bytea not null,
  transfer_syntax_uid text not null,
  blob_key text not null unique,
  byte_length bigint not null,
  sha256 bytea not null,
  data_set_offset integer not null,
  -- Where the values lie that are not inline in the metadata, by path. Null when there are none.
  bulk_data jsonb,
  created_at timestamptz not null default now()
);

create index non_patient_instance_category on non_patient_instance (category, id);

alter table non_patient_instance alter column metadata set storage external;
