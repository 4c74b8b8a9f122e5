-- Matching (PS3.4 C.2.2.2): keys of names, indexes of documents, dates and times of documents.

-- Words of the names of a level, for fuzzy matching: server/archive/name-keys.ts. Null: not made yet, a background task
-- makes them.
alter table study add column name_keys text[];
alter table series add column name_keys text[];
alter table instance add column name_keys text[];

create index study_name_keys on study using gin (name_keys);
create index series_name_keys on series using gin (name_keys);
create index instance_name_keys on instance using gin (name_keys);

create index study_without_name_keys on study (id) where name_keys is null;
create index series_without_name_keys on series (id) where name_keys is null;
-- Of instances only those that name somebody (ContentCreatorName).
create index instance_without_name_keys on instance (id) where name_keys is null and attributes ? '00700084';

-- Single values of any attribute, of items of sequences as well. Not for instances, which are far too many.
create index study_attributes on study using gin (attributes jsonb_path_ops);
create index series_attributes on series using gin (attributes jsonb_path_ops);

create index instance_sop_class on instance (sop_class_uid, series_id);

-- Has several values, so it is matched in the document.
alter table series drop column performing_physician_name;

-- Offset from UTC (PS3.3 C.12.1.1.8), `+HHMM`; null when it is none.
create function dicom_offset(value text) returns interval language sql immutable parallel safe
return case
  when value ~ '^[+-](0\d|1[0-4])[0-5]\d$' then
    make_interval(hours => left(value, 3)::integer, mins => (left(value, 1) || right(value, 2))::integer)
end;

-- Earliest moment of a DT (PS3.5 6.2) in UTC, by its own offset, else by that of `zone`; null when it is ill-formed.
create function dicom_moment(value text, zone interval) returns timestamp language sql immutable parallel safe
return case
  when value ~ '^\d{4}((0[1-9]|1[0-2])((0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])([0-5]\d(([0-5]\d|60)(\.\d{1,6})?)?)?)?)?)?([+-]\d{4})?$' then
    make_timestamp(greatest(left(value, 4)::integer, 1), 1, 1, 0, 0, 0)
    + make_interval(
      months => coalesce(substring(value from '^\d{4}(\d\d)')::integer, 1) - 1,
      days => coalesce(substring(value from '^\d{6}(\d\d)')::integer, 1) - 1,
      hours => coalesce(substring(value from '^\d{8}(\d\d)')::integer, 0),
      mins => coalesce(substring(value from '^\d{10}(\d\d)')::integer, 0),
      secs => least(coalesce(substring(value from '^\d{12}(\d\d(\.\d+)?)')::double precision, 0), 59.999999)
    )
    - coalesce(dicom_offset(substring(value from '[+-]\d{4}$')), zone, interval '0')
end;

-- A DA (PS3.5 6.2), also in its old form YYYY.MM.DD; null when it is ill-formed.
create function dicom_date(value text) returns date language sql immutable parallel safe
return case
  when value ~ '^\d{4}(\.\d\d\.|\d\d)\d\d$' then dicom_moment(translate(value, '.', ''), null)::date
end;

-- A TM (PS3.5 6.2), also in its old form HH:MM:SS; what it leaves out is 0; null when it is ill-formed.
create function dicom_time(value text) returns time language sql immutable parallel safe
return case
  when value ~ '^\d\d(:?\d\d(:?\d\d(\.\d{1,6})?)?)?$' then
    dicom_moment('19700101' || translate(value, ':', ''), null)::time
end;
