-- Quarantine: files that could not be stored for what is in them, kept whole until somebody looks at them.

create table quarantine (
  id bigint generated always as identity primary key,
  -- Code of the error (server/errors.ts) and its sentence.
  reason text not null,
  detail text not null,
  blob_key text collate "C" not null unique,
  byte_length bigint not null,
  -- The same bytes again are the same row.
  sha256 bytea not null unique,
  -- As far as they could be read.
  sop_class_uid text,
  sop_instance_uid text,
  study_instance_uid text,
  series_instance_uid text,
  -- The door through which it came, its number in the request, and the name that the sender gave it; null: not known.
  origin text,
  part integer,
  name text,
  -- How often these bytes came.
  count bigint not null default 1,
  first_at timestamptz not null default now(),
  last_at timestamptz not null default now(),
  retries integer not null default 0,
  retried_at timestamptz
);

create index quarantine_oldest on quarantine (last_at);
