-- What was imported. Numbers inside, UUIDs only on what REST names: four UUID keys would halve the speed of loading.

-- The catalogue of vulnerabilities is Microsoft's, the same for every customer, and holds no tenant's data.
create table vulnerability (
  id               int generated always as identity primary key,
  name             text not null unique,               -- CVE-… or TVM-…, upper case
  title            text not null default '',
  description      text not null default '',
  severity_word    text not null default '',
  severity         smallint not null default 0,        -- 0 unknown … 4 critical
  score            real,
  vector           text not null default '',
  attack_vector    smallint not null default 0,        -- 0 unknown, 1 network, 2 adjacent, 3 local, 4 physical
  epss             real,
  public_exploit   boolean not null default false,
  exploit_verified boolean not null default false,
  exploit_in_kit   boolean not null default false,
  exploit_types    text[] not null default '{}',
  exploit_uris     text[] not null default '{}',
  tags             text[] not null default '{}',
  supportability   text not null default '',
  published_at     timestamptz,
  source_updated_at timestamptz,
  partial          boolean not null default false,     -- known only from machines' rows
  updated_at       timestamptz not null default now(),
  rules_at         timestamptz not null default now()  -- when the catalogue told what the rules ask of it first, or otherwise last
);
create index vulnerability_by_rules_at on vulnerability (rules_at);
-- For lists of what a tenant is exposed to: they walk the catalogue in the order asked for and look each entry up.
create index vulnerability_by_name on vulnerability (name, id);
create index vulnerability_by_epss on vulnerability (coalesce(epss, -1), id);
create index vulnerability_by_published on vulnerability (coalesce(published_at, '-infinity'), id);
create index vulnerability_exploited on vulnerability (id) where public_exploit or exploit_verified or exploit_in_kit;
grant select, insert, update on vulnerability to defender_app;

-- What the text search compares of name, title and description. A table of its own, so that a new EPSS score does not
-- touch the index of words. Who searches has no policy to pass here; see asset_word for tables that have one.
create table vulnerability_words (
  vulnerability_id int primary key references vulnerability (id) on delete cascade,
  words            tsvector not null
);
create index vulnerability_words_by_word on vulnerability_words using gin (words);
grant select, insert, update on vulnerability_words to defender_app;

-- How far the shared catalogue has been read, per source; the lease keeps two runs from reading it at once.
create table catalogue_read (
  source       text primary key,
  read_at      timestamptz,            -- start of the last complete read; null before the first
  full_read_at timestamptz,
  lease_until  timestamptz,
  holder       text not null default ''
);
grant select, insert, update on catalogue_read to defender_app;

-- Names of software are Microsoft's too; a triple gets one number for good.
create table software (
  id      int generated always as identity primary key,
  vendor  text not null,
  product text not null,
  version text not null,
  unique (vendor, product, version)
);
create index software_by_product on software (lower(product)); -- findings are filtered by product without case
grant select, insert on software to defender_app;

create table asset (
  tenant_id          int not null,
  id                 bigint generated always as identity,
  public_id          uuid not null,
  integration_id     bigint not null,
  source_id          text not null,
  hostname           text not null,
  hostname_raw       text not null default '',
  name_kind          text not null,
  previous_hostnames text[] not null default '{}',
  primary_ip         inet not null,
  addresses          jsonb not null default '[]',
  egress_ip          inet,
  os_platform        text not null default '',
  os_family          text not null default '',
  os_version         text not null default '',
  os_build           bigint not null default 0,
  os_architecture    text not null default '',
  os_processor       text not null default '',
  health             text not null default '',
  onboarding         text not null default '',
  risk_score         text not null default '',
  exposure_level     text not null default '',
  device_value       text not null default '',
  group_id           bigint not null default 0,
  group_name         text not null default '',
  tags               text[] not null default '{}',
  aad_device_id      text not null default '',
  aad_joined         boolean,
  agent_version      text not null default '',
  managed_by         text not null default '',
  managed_by_status  text not null default '',
  cloud              jsonb,
  potential_duplicate boolean not null default false,
  warnings           text[] not null default '{}',
  first_seen_at      timestamptz,            -- by the source
  last_seen_at       timestamptz,            -- by the source
  findings_seen_at   timestamptz,            -- newest time any of its rows was seen
  state              text not null check (state in ('active', 'inactive', 'stale', 'out_of_scope', 'merged', 'removed')),
  state_reason       text not null default '',
  merged_into        text not null default '',  -- source id of the survivor, while merged
  import_state       text not null default 'imported' check (import_state in ('imported', 'carrier')),
  missing_since      timestamptz,            -- start of the first complete read that did not have it, since it was last read
  misses             smallint not null default 0, -- complete reads that did not have it since then
  missed_in          bigint,                 -- number of the run that made the last of them
  held_findings      int not null default 0, -- of its findings, those with held_since
  held_told          boolean not null default false, -- they are among what is told of a held change, which a person may approve of
  content_hash       bytea not null,         -- of everything a user sees except the times of sighting
  finding_hash       bytea not null default '', -- of the accepted rows, in parts; equal means nothing to compare
  open_critical      int not null default 0,
  open_high          int not null default 0,
  open_medium        int not null default 0,
  open_low           int not null default 0,
  open_unknown       int not null default 0,
  created_at         timestamptz not null default now(),
  updated_at         timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, public_id),
  unique (tenant_id, integration_id, source_id),
  foreign key (tenant_id, integration_id) references integration (tenant_id, id) on delete cascade
) with (fillfactor = 50); -- a first import writes each asset once more, with its counters: next to the old one, no index changes
create index asset_by_hostname on asset (tenant_id, hostname, id);
-- Never seen sorts as seen longest ago. Not coalesce: the policy below would keep the index from being used.
create index asset_by_last_seen on asset
  (tenant_id, (case when last_seen_at is null then '-infinity' else last_seen_at end), id);
create index asset_by_created on asset (tenant_id, created_at, id);
create index asset_held on asset (tenant_id, integration_id, id) where held_findings > 0;
alter table asset enable row level security, force row level security;
create policy tenant_wall on asset using (tenant_id = app_tenant());
grant select, insert, update, delete on asset to defender_app;

-- What the text search compares of an asset: from each place on where a word of its host name begins, and each of its
-- addresses. Under a policy no index serves LIKE, trigrams or tsvector, whose operators PostgreSQL cannot tell to be
-- leakproof; comparing text byte by byte is, so a range of a B-tree finds what begins with a text. No foreign key: checking
-- it would cost more than writing the row, and what removes assets removes their words.
create table asset_word (
  tenant_id int not null,
  word      text collate "C" not null,
  asset_id  bigint not null,
  primary key (tenant_id, word, asset_id)
);
create index asset_word_by_asset on asset_word (tenant_id, asset_id);
alter table asset_word enable row level security, force row level security;
create policy tenant_wall on asset_word using (tenant_id = app_tenant());
grant select, insert, delete on asset_word to defender_app;
