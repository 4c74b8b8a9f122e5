-- The feed after a restore: numbers between these two were given, if at all, to changes that were made after the backup.
alter table change_counter add column restored_from bigint not null default 0;
alter table change_counter add column restored_to bigint not null default 0;
