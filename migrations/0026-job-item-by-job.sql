-- Every item of a job by one index: the items of a job that is forgotten are deleted with it, and those that failed are
-- sought when it is tried again. Without it each of these reads the items of all jobs.
create index job_item_of_job on job_item (job_id, id);
