-- Lines of backups: a restored archive begins one of its own, so that what its original went on to do is not its past.
alter table backup_source add column line uuid not null default gen_random_uuid();
-- The lines that it comes from, each until the moment of the snapshot that was restored: [{"line", "until"}].
alter table backup_source add column origins jsonb not null default '[]';
