-- What happens to instances: the feed of changes, what was removed and may come back, webhooks.

-- One row an instance that was created, updated, deleted or restored, written in the transaction that did it.
create table change (
  id bigint generated always as identity primary key,
  -- Given after the commit, without gaps: storage/catalog-changes.ts. Null until then.
  sequence bigint unique,
  action text not null check (action in ('create', 'update', 'delete', 'restore')),
  study_instance_uid text not null,
  series_instance_uid text not null,
  sop_instance_uid text not null,
  sop_class_uid text not null,
  -- Of the bytes that the change made current, or took away.
  sha256 bytea not null,
  at timestamptz not null default now(),
  -- The door through which it came.
  origin text
);

create index change_unnumbered on change (id) where sequence is null;

-- One row: the last number that was given, and the last one that is no longer kept (0: every one is).
create table change_counter (
  only_row boolean primary key default true check (only_row),
  last_sequence bigint not null default 0,
  last_forgotten bigint not null default 0
);
insert into change_counter default values;

-- What one request removed, or one instance that another replaced.
create table removal (
  id bigint generated always as identity primary key,
  level text not null check (level in ('study', 'series', 'instance')),
  why text not null check (why in ('deleted', 'replaced')),
  study_instance_uid text not null,
  series_instance_uid text,
  sop_instance_uid text,
  -- Instances that can be restored.
  instance_count bigint not null,
  removed_at timestamptz not null default now(),
  -- Until when it can be restored.
  kept_until timestamptz not null
);

create index removal_kept_until on removal (kept_until);

-- A series of which a removal took instances. Documents are rows as they were, {uid, columns, attributes}.
create table removed_series (
  id bigint generated always as identity primary key,
  removal_id bigint not null references removal (id) on delete cascade,
  -- Its id when it was a series.
  series_id bigint not null,
  study jsonb not null,
  series jsonb not null
);

create index removed_series_removal on removed_series (removal_id);

create table removed_instance (
  id bigint generated always as identity primary key,
  removed_series_id bigint not null references removed_series (id) on delete cascade,
  sop_instance_uid text not null,
  -- The columns of the instance, but for those that follow.
  instance jsonb not null,
  metadata bytea not null,
  frame_table bytea,
  blob_key text not null
);

create index removed_instance_series on removed_instance (removed_series_id, id);
create index removed_instance_blob_key on removed_instance (blob_key);
alter table removed_instance alter column metadata set storage external;

-- Objects that no row needs any more, until they are gone from the object store.
create table sweep (
  blob_key text primary key,
  since timestamptz not null default now()
);

create table webhook (
  id uuid primary key default gen_random_uuid(),
  url text not null,
  secret text not null,
  -- Actions that are told; null: every one.
  events text[],
  -- Values that a change must have, by name; null: any.
  filter jsonb,
  -- Sequence of the last change that was told, or passed over.
  cursor bigint not null,
  -- Failures since the last success.
  failures integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  created_at timestamptz not null default now()
);

create table webhook_delivery (
  id bigint generated always as identity primary key,
  webhook_id uuid not null references webhook (id) on delete cascade,
  first_sequence bigint not null,
  last_sequence bigint not null,
  change_count integer not null,
  attempt integer not null,
  -- Status of the answer; null when there was none.
  status integer,
  -- Why it did not succeed, in words; null when it did.
  fault text,
  duration_ms integer not null,
  at timestamptz not null default now()
);

create index webhook_delivery_latest on webhook_delivery (webhook_id, id desc);
