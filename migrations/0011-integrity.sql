-- Integrity: what verification found and how far it has come, and since when this catalog knows of every object.

-- One row.
create table archive_state (
  only_row boolean primary key default true check (only_row),
  -- When this catalog was made. An object from before that may be an instance that another one acknowledged.
  made_at timestamptz not null default now(),
  -- When it was last put back from a backup, or rebuilt from the objects; null: never. Of older objects the same holds.
  restored_at timestamptz
);
insert into archive_state default values;

-- Keys are compared by their bytes: their beginnings are ranges of an index, whatever the locale of the database.
alter table instance alter column blob_key type text collate "C";
alter table removed_instance alter column blob_key type text collate "C";
alter table non_patient_instance alter column blob_key type text collate "C";
alter table sweep alter column blob_key type text collate "C";

create table integrity_run (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('background', 'command')),
  -- What it looks at: server/archive/verify.ts.
  options jsonb not null,
  -- Every key up to this one has been checked.
  position text collate "C" not null default '',
  -- How much of the keys that is, from 0 to 1.
  share double precision not null default 0,
  -- Objects whose presence and size were compared; those that were read, and their bytes.
  objects bigint not null default 0,
  objects_read bigint not null default 0,
  bytes_read bigint not null default 0,
  started_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  finished_at timestamptz
);

create index integrity_run_latest on integrity_run (kind, id desc);

-- An object that is not as its row says, or that has none.
create table integrity_fault (
  id bigint generated always as identity primary key,
  blob_key text collate "C" not null,
  kind text not null
    check (kind in ('missing', 'wrong-size', 'wrong-sha256', 'unreadable', 'different-metadata', 'orphan')),
  -- The table whose row names the object, and the UIDs in it; null when no row does.
  holder text,
  study_instance_uid text,
  series_instance_uid text,
  sop_instance_uid text,
  -- What was found, in words.
  detail text not null,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  -- The last run that saw it.
  run_id bigint,
  resolved_at timestamptz,
  -- Why it is no fault any more, in words.
  resolution text
);

-- One open fault an object.
create unique index integrity_fault_open on integrity_fault (blob_key) where resolved_at is null;

-- Whether an object without a row is what was deleted on purpose.
create index change_deleted on change (sop_instance_uid) where action = 'delete';
