-- Objects that a reindex has found and no row names, so that they are indexed in the order in which they were stored. Empty
-- between two runs; not logged, since a run begins by listing anew.
create unlogged table reindex_object (
  blob_key text collate "C" primary key,
  byte_length bigint not null,
  modified_at timestamptz not null,
  -- In hexadecimal; null where a listing does not tell.
  sha256 text
);

create index reindex_object_order on reindex_object (modified_at, blob_key);
