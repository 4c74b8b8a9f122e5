-- Work with peers that outlives the request that asked for it, and the process that does it.

create table job (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('echo', 'query', 'retrieve', 'send')),
  -- Name of the peer, which may be gone by now.
  peer text not null,
  -- What is asked of it; of a send the instances are items.
  request jsonb not null,
  state text not null default 'queued' check (state in ('queued', 'running', 'succeeded', 'failed', 'cancelled')),
  -- Priority (0000,0700) by rank: 1 high, 0 medium, -1 low.
  priority smallint not null default 0,
  -- Instances: all of them, and what became of those that are done.
  total bigint not null default 0,
  completed bigint not null default 0,
  failed bigint not null default 0,
  warning bigint not null default 0,
  -- Since it was added, or asked to be tried again.
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  -- How long faults are met with another attempt, and since when: the first attempt, or the last progress.
  retry_seconds integer not null,
  tried_since timestamptz,
  cancel_requested boolean not null default false,
  -- The process that runs it, which is taken for dead after that moment.
  lease_holder uuid,
  lease_until timestamptz,
  -- Processes that died running it since the last progress.
  crashes integer not null default 0,
  result jsonb,
  -- The last fault: its code, and a sentence.
  error_code text,
  error text,
  created_at timestamptz not null default now(),
  started_at timestamptz,
  finished_at timestamptz
);

create index job_queued on job (priority desc, next_attempt_at, id) where state = 'queued';
create index job_running on job (peer) where state = 'running';
create index job_of_peer on job (peer, id);
create index job_finished on job (finished_at) where finished_at is not null;

-- An instance of a send that is not sent yet, and of any job one that was not transferred as it should.
create table job_item (
  id bigint generated always as identity primary key,
  job_id bigint not null references job (id) on delete cascade,
  -- Null where a peer has named the instance alone.
  study_instance_uid text,
  series_instance_uid text,
  sop_instance_uid text not null,
  state text not null check (state in ('pending', 'failed', 'warning')),
  attempts integer not null default 0,
  -- Status (0000,0900) or Failure Reason (0008,1197) of the last attempt; null when nothing was answered.
  status integer,
  error text
);

create index job_item_pending on job_item (job_id, id) where state = 'pending';
create index job_item_told on job_item (job_id, id) where error is not null or status is not null;

-- Peers that could not be reached, or took nothing, when they were last tried.
create table peer_fault (
  peer text primary key,
  -- In a row.
  failures integer not null,
  next_attempt_at timestamptz not null,
  error_code text not null,
  error text not null,
  since timestamptz not null default now(),
  last_at timestamptz not null default now()
);
