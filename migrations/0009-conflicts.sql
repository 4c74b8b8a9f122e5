-- Conflicts: what instances say of their patient or study otherwise than the instance that describes the study.

-- One row an attribute and a pair of values, however many instances have it: that is what somebody decides about.
create table conflict (
  id bigint generated always as identity primary key,
  study_id bigint not null references study (id) on delete cascade,
  -- Keyword of the attribute.
  attribute text not null,
  -- As the columns of the study have them, cut to 256 characters; empty for none.
  study_value text not null,
  instance_value text not null,
  -- The door through which the first instance came; null when that is not known.
  origin text,
  created_at timestamptz not null default now(),
  -- When somebody has said that it is right as it is; null while nobody has.
  acknowledged_at timestamptz,
  note text
);

create unique index conflict_values on conflict (study_id, attribute, study_value, instance_value);

-- The instances; a conflict without any is deleted in the transaction that took the last one.
create table conflict_instance (
  conflict_id bigint not null references conflict (id) on delete cascade,
  instance_id bigint not null references instance (id) on delete cascade,
  primary key (instance_id, conflict_id)
);

create index conflict_instance_conflict on conflict_instance (conflict_id, instance_id);
