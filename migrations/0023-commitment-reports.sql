-- Storage commitment by DIMSE (PS3.4 J): outcomes that are still to be told to who asked for them.

create table commitment_report (
  transaction_uid text primary key references commitment on delete cascade,
  -- Who asked, and by which AE title it called this archive.
  requesting_ae_title text not null,
  requested_ae_title text not null,
  failures integer not null default 0,
  -- Why the last attempt failed.
  fault text,
  next_attempt_at timestamptz not null,
  -- Until then somebody is at it.
  claimed_until timestamptz,
  created_at timestamptz not null default now()
);

create index commitment_report_next on commitment_report (next_attempt_at);
create index commitment_report_requesting on commitment_report (requesting_ae_title, next_attempt_at);
