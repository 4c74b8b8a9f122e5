-- Backups: whose they are, and how the last ones went.

-- One row: what tells the backups of this archive from those of another. A restored archive goes on with it.
create table backup_source (
  only_row boolean primary key default true check (only_row),
  archive_id uuid not null default gen_random_uuid()
);
insert into backup_source default values;

-- One row a backup that was begun. Not part of backups.
create table backup_run (
  id bigint generated always as identity primary key,
  cause text not null check (cause in ('schedule', 'command')),
  started_at timestamptz not null default now(),
  -- Null while it is under way, or when its process has ended before it.
  finished_at timestamptz,
  outcome text not null default 'running' check (outcome in ('running', 'complete', 'with-faults', 'failed')),
  -- Name of the snapshot, when there is one.
  snapshot text,
  -- Why it failed, in a sentence.
  fault text,
  instances bigint,
  objects bigint,
  object_bytes bigint,
  -- What this backup had to copy of them.
  copied_objects bigint,
  copied_bytes bigint,
  -- Objects that are missing in the archive, or are not what was stored.
  faulty_objects bigint
);
