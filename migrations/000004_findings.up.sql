-- The large tables, laid out for 10 million rows per tenant: one partition per tenant, so that off-boarding is a drop and
-- each customer has its own vacuum and statistics; no per-row last-seen time, so that an unchanged run writes nothing.

-- finding: asset × vulnerability. Its instances are the software rows behind it, kept as numbers in one array.
create table finding (
  tenant_id        int not null,
  asset_id         bigint not null,
  vulnerability_id int not null,
  software_ids     int[] not null,
  severity         smallint not null,        -- 0 unknown … 4 critical
  severity_source  smallint not null,
  attack_vector    smallint not null,
  state            smallint not null,        -- 1 open, 2 fixed, 3 out of scope
  reopen_count     smallint not null default 0,
  state_reason     text,
  first_seen_at    timestamptz not null,     -- by the source
  last_seen_at     timestamptz,              -- frozen when it closes; while open the asset's findings_seen_at counts
  closed_at        timestamptz,              -- fixed or taken out of scope
  reopened_at      timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  primary key (tenant_id, asset_id, vulnerability_id)
) partition by list (tenant_id);
create index finding_by_vulnerability on finding (tenant_id, vulnerability_id, asset_id);
create index finding_by_severity on finding (tenant_id, severity, asset_id, vulnerability_id);
create index finding_by_first_seen on finding (tenant_id, first_seen_at, asset_id, vulnerability_id);
create table finding_default partition of finding default;
alter table finding enable row level security, force row level security;
create policy tenant_wall on finding using (tenant_id = app_tenant());
grant select, insert, update, delete on finding to defender_app;

-- installation: where a vulnerable software sits on an asset.
create table installation (
  tenant_id      int not null,
  asset_id       bigint not null,
  software_id    int not null,
  disk_paths     text[] not null default '{}',
  registry_paths text[] not null default '{}',
  primary key (tenant_id, asset_id, software_id)
) partition by list (tenant_id);
create table installation_default partition of installation default;
alter table installation enable row level security, force row level security;
create policy tenant_wall on installation using (tenant_id = app_tenant());
grant select, insert, update, delete on installation to defender_app;

-- remediation: what Defender recommends for a software × vulnerability in this tenant.
create table remediation (
  tenant_id        int not null references tenant (id) on delete cascade,
  software_id      int not null,
  vulnerability_id int not null,
  update_text      text not null default '',
  update_id        text not null default '',
  update_url       text not null default '',
  update_ready     boolean,
  exploitability   text not null default '',
  primary key (tenant_id, software_id, vulnerability_id)
);
create index remediation_by_vulnerability on remediation (tenant_id, vulnerability_id);
alter table remediation enable row level security, force row level security;
create policy tenant_wall on remediation using (tenant_id = app_tenant());
grant select, insert, update, delete on remediation to defender_app;

-- exposure: a tenant's share of a vulnerability, counted from the deltas of the runs.
create table exposure (
  tenant_id        int not null references tenant (id) on delete cascade,
  vulnerability_id int not null,
  open_assets      int not null default 0,
  severity         smallint not null default 0,   -- worst among its open findings; the catalogue's own while none is open
  first_seen_at    timestamptz not null,
  updated_at       timestamptz not null default now(),
  primary key (tenant_id, vulnerability_id)
);
create index exposure_by_severity on exposure (tenant_id, severity, vulnerability_id);
alter table exposure enable row level security, force row level security;
create policy tenant_wall on exposure using (tenant_id = app_tenant());
grant select, insert, update, delete on exposure to defender_app;

-- Partitions are made by this function, as the owner: the application role may not change the schema otherwise. It runs
-- when a tenant is created, before it has any row, so nothing has to move. Made apart and attached: "partition of" would
-- wait for every transaction that writes findings of any tenant, and hold up all readers meanwhile.
create function place_tenant(tenant int) returns void
  language plpgsql security definer set search_path = public, pg_temp as
$$
begin
  if to_regclass(format('finding_t%s', tenant)) is null then
    execute format('create table finding_t%s (like finding including all)', tenant);
    execute format('alter table finding attach partition finding_t%s for values in (%s)', tenant, tenant);
    execute format('alter table finding_t%s enable row level security, force row level security', tenant);
    execute format('create policy tenant_wall on finding_t%s using (tenant_id = app_tenant())', tenant);
  end if;
  if to_regclass(format('installation_t%s', tenant)) is null then
    execute format('create table installation_t%s (like installation including all)', tenant);
    execute format('alter table installation attach partition installation_t%s for values in (%s)', tenant, tenant);
    execute format('alter table installation_t%s enable row level security, force row level security', tenant);
    execute format('create policy tenant_wall on installation_t%s using (tenant_id = app_tenant())', tenant);
  end if;
end
$$;
revoke all on function place_tenant(int) from public;
grant execute on function place_tenant(int) to defender_app;

-- The default partitions hold tenants' data as well: the wall stands on each, should anyone ever be granted access.
alter table finding_default enable row level security, force row level security;
create policy tenant_wall on finding_default using (tenant_id = app_tenant());
alter table installation_default enable row level security, force row level security;
create policy tenant_wall on installation_default using (tenant_id = app_tenant());
