-- The DICOM applications that the archive talks to by name. An AE title is one peer's: a move destination names no other.
create table peer (
  name text primary key,
  kind text not null check (kind in ('dimse', 'dicomweb')),
  ae_title text unique,
  host text,
  port integer check (port between 1 and 65535),
  tls boolean,
  calling_ae_title text,
  url text,
  -- Of HTTP requests to it; credentials, as a rule.
  headers jsonb,
  created_at timestamptz not null default now(),
  check (
    kind <> 'dimse' or ae_title is not null and host is not null and port is not null and tls is not null
      and url is null and headers is null
  ),
  check (
    kind <> 'dicomweb' or url is not null and headers is not null
      and ae_title is null and host is null and port is null and tls is null and calling_ae_title is null
  )
);
