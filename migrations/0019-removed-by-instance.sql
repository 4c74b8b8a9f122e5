-- Every duplicate that is stored asks for what has its SOP Instance UID, also among what was removed.
create index removed_instance_sop_instance_uid on removed_instance (sop_instance_uid);
