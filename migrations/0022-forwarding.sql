-- Rules by which instances are sent on as they are stored, and who sent and received them, by which rules tell them apart.

-- AE titles of the application that sent the instance, and by which this one was called; null unless it came by DIMSE.
alter table change add sending_ae_title text, add receiving_ae_title text;

create table forwarding_rule (
  id bigint generated always as identity primary key,
  name text not null unique,
  -- Of a search for instances, as a URL has it; empty: every instance.
  match text not null,
  -- Patterns of which one must fit, and of which none may; null: any.
  origins text[],
  sending_ae_titles text[],
  except_sending_ae_titles text[],
  receiving_ae_titles text[],
  -- Name of a peer.
  destination text not null,
  priority smallint not null,
  -- Seconds without a further instance of the study before it is sent.
  quiet_seconds integer not null,
  retry_seconds integer not null,
  enabled boolean not null,
  -- Sequence of the last change that was looked at.
  cursor bigint not null,
  -- The last change that was forgotten before it was looked at; null: none was.
  missed_up_to bigint,
  -- Why changes cannot be looked at; null: they can.
  fault text,
  created_at timestamptz not null default now(),
  changed_at timestamptz not null default now()
);

-- Of a send by a rule, which takes the instances of one study as long as it is open. The rule may be gone by now.
alter table job add rule_id bigint, add rule text, add study_instance_uid text;

create index job_of_rule on job (rule_id, state);
create index job_collecting on job (rule_id, study_instance_uid) where state in ('queued', 'running');
