-- Key of the object of the instance that describes a study or a series: when that instance goes, another one does.
-- Null in rows of older versions, and then nobody knows.
alter table study add column described_by text;
alter table series add column described_by text;
