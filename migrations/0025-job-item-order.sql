-- Instances that have failed before are sent behind the others: one that ends every association holds up none of them.
create index job_item_next on job_item (job_id, attempts, id) where state = 'pending';
drop index job_item_pending;
