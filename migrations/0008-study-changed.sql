-- When a series of the study last lost instances: the series itself may be gone.
alter table study add column updated_at timestamptz not null default now();
