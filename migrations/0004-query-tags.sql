-- Query tags: attributes that an operator made searchable, and their values.

-- One row. `revision` is raised whenever the list of tags changes; `tags` says how many are in force. Every transaction
-- that writes instances reads it, and so holds ACCESS SHARE on it to its end; whoever changes the list holds ACCESS
-- EXCLUSIVE: so no instance is written by a list that is out of date (storage/catalog-query-tags.ts).
create table query_tag_list (
  only_row boolean primary key default true check (only_row),
  revision bigint not null default 0,
  tags integer not null default 0
);
insert into query_tag_list default values;

create table query_tag (
  id integer generated always as identity primary key,
  -- Tags joined by dots, the last one that of the value; of a private one the block is xx: 0019xx07.
  path text not null,
  -- Empty when no tag of the path is private.
  private_creator text not null default '',
  vr text not null,
  level text not null check (level in ('study', 'series', 'instance')),
  status text not null default 'adding' check (status in ('adding', 'ready', 'removing')),
  -- The re-index: every instance up to `index_until` was there when the tag came; up to `indexed_until` it is done.
  index_until bigint not null,
  indexed_until bigint not null default 0,
  instances_total bigint,
  instances_done bigint not null default 0,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
);

-- The values of a tag that is being removed go in the background; its path is free at once.
create unique index query_tag_path on query_tag (path, private_creator) where status <> 'removing';

-- Distinct values by entity: of tags of the instance level by instance, of the others by series, so that a study has
-- those of its series and loses them with these.
create table query_tag_value (
  tag_id integer not null,
  series_id bigint references series (id) on delete cascade,
  instance_id bigint references instance (id) on delete cascade,
  -- Canonical, so that equal values are equal texts, and dates and times sort: 2024-01-02, 10:11:12.000000,
  -- =Alphabetic=Ideographic=Phonetic=, 1.5.
  value text collate "C" not null,
  check ((series_id is null) <> (instance_id is null))
);

create unique index query_tag_value_series on query_tag_value (series_id, tag_id, value) where series_id is not null;
create unique index query_tag_value_instance on query_tag_value (instance_id, tag_id, value)
  where instance_id is not null;
create index query_tag_value_match on query_tag_value (tag_id, value);

-- Values that could not be indexed.
create table query_tag_error (
  tag_id integer not null,
  instance_id bigint not null references instance (id) on delete cascade,
  -- What was found, cut short.
  value text not null,
  reason text not null,
  primary key (instance_id, tag_id)
);

create index query_tag_error_of_tag on query_tag_error (tag_id, instance_id);

-- Series whose values are to be made anew, since instances left them or came back.
create table query_tag_recheck (
  series_id bigint primary key
);
