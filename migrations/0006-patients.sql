-- Patients (PS3.4 C.6.1.1.2): the studies of one, the newest first. Also finds a Patient ID, as its first column.
create index study_of_patient on study
  (patient_id, coalesce(issuer_of_patient_id, ''), study_date desc nulls last, study_time desc nulls last, id desc);

drop index study_patient_id;
