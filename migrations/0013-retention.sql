-- Holds, against which nothing is removed, and rules by which studies are removed.

-- Protects a study, the studies of a patient, or those that a search finds; also those that are stored later.
create table hold (
  id bigint generated always as identity primary key,
  study_instance_uid text,
  patient_id text,
  -- Null: the patient of that Patient ID whatever the issuer.
  issuer_of_patient_id text,
  -- Of a search for studies, as a URL has it.
  query text,
  reason text not null,
  -- Null: until it is released.
  until timestamptz,
  created_at timestamptz not null default now(),
  released_at timestamptz,
  check (num_nonnulls(study_instance_uid, patient_id, query) = 1)
);

create index hold_study on hold (study_instance_uid) where released_at is null;
create index hold_patient on hold (patient_id) where released_at is null;
create index hold_query on hold (id) where released_at is null and query is not null;

create table retention_rule (
  id bigint generated always as identity primary key,
  name text not null unique,
  -- Of a search, as a URL has it; empty: every study.
  match text not null,
  -- By what age is told: the Study Date, or when the study last got or lost an instance.
  age_by text not null check (age_by in ('StudyDate', 'stored')),
  older_than_days integer not null check (older_than_days >= 1),
  -- Days since the study last got or lost an instance, at least.
  settled_days integer not null check (settled_days >= 1),
  -- When given, studies are removed only while less is free than `space_below`, and until `space_until` is.
  space_unit text check (space_unit in ('percent', 'gigabytes')),
  space_below double precision,
  space_until double precision,
  check (num_nonnulls(space_unit, space_below, space_until) in (0, 3)),
  enabled boolean not null default false,
  -- Raised by every change of what stands above.
  revision integer not null default 1,
  -- The last dry run of this revision: the token that enables the rule, and what it would have removed.
  dry_run uuid,
  dry_run_at timestamptz,
  dry_run_studies bigint,
  -- Studies that may be removed without regard to RETENTION_MAX_PERCENT, since a dry run has shown them.
  confirmed_studies bigint not null default 0,
  -- Why the server has disabled it.
  stopped text,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now(),
  last_run_at timestamptz
);

-- A run of one rule that removed something or met a fault. What it removed outlives the rule.
create table retention_run (
  id bigint generated always as identity primary key,
  rule_id bigint not null,
  rule_name text not null,
  rule_revision integer not null,
  began_at timestamptz not null default now(),
  -- Null while it is under way, and when its process died.
  ended_at timestamptz,
  -- Studies that it left, since a hold protects them, or since they had changed.
  held bigint not null default 0,
  changed bigint not null default 0,
  fault text
);

create table retention_removal (
  id bigint generated always as identity primary key,
  run_id bigint not null references retention_run (id) on delete cascade,
  -- Of a removal that may be forgotten since.
  removal_id bigint not null,
  study_instance_uid text not null,
  instance_count bigint not null,
  byte_length bigint not null,
  at timestamptz not null default now()
);

create index retention_removal_run on retention_removal (run_id, id);
create index retention_removal_removal on retention_removal (removal_id);

create index removed_series_study on removed_series ((study ->> 'uid'));

-- Sizes of studies are summed up out of this index alone.
drop index instance_order;
create index instance_order on instance (series_id, instance_number, id) include (byte_length);
