-- The large tables, laid out for 10 million rows per tenant: a tenant's findings have a partition of their own, so that the
-- first import fills a bare table, off-boarding is a drop, and each customer has its own vacuum and statistics. Beyond the
-- number of partitions the service is set to, tenants share a few. There is no per-row last-seen time, so that an unchanged
-- run writes nothing.

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
  held_since       timestamptz,              -- when the removal guard first held its closing back, until it closes or is there again
  held_as          smallint,                 -- and as what: 1 absent in a drop, 2 refused in a drop; 3 and 4 the same beside one
  reopened_at      timestamptz,
  created_at       timestamptz not null,
  updated_at       timestamptz not null,
  primary key (tenant_id, asset_id, vulnerability_id)
) partition by list (tenant_id);
create table finding_shared partition of finding default partition by hash (tenant_id);
-- The orders that lists are read in. A partition of one tenant has the same indexes without the tenant, which would be equal
-- in all its rows: they are built in two thirds of the time, and smaller; see load_index.
create index finding_by_vulnerability on finding_shared (tenant_id, vulnerability_id, severity, asset_id);
create index finding_by_severity on finding_shared (tenant_id, severity, asset_id, vulnerability_id);
create index finding_by_first_seen on finding_shared (tenant_id, first_seen_at, asset_id, vulnerability_id);
-- The few that are not open, among many that are.
create index finding_closed on finding_shared (tenant_id, state, asset_id, vulnerability_id) where state <> 1;
do $$
begin
  for i in 0..15 loop
    execute format('create table finding_shared_%s partition of finding_shared for values with (modulus 16, remainder %s)', i, i);
  end loop;
end
$$;
alter table finding enable row level security, force row level security;
create policy tenant_wall on finding using (tenant_id = app_tenant());
grant select, insert, update, delete on finding to defender_app;

-- location: a set of paths where some software sits. Most machines have it in the same places, so it is kept once; its
-- number is a digest of the paths.
create table location (
  tenant_id      int not null references tenant (id) on delete cascade,
  id             bigint not null,
  disk_paths     text[] not null default '{}',
  registry_paths text[] not null default '{}',
  primary key (tenant_id, id)
);
alter table location enable row level security, force row level security;
create policy tenant_wall on location using (tenant_id = app_tenant());
grant select, insert, update, delete on location to defender_app;

-- installation: where the vulnerable software of an asset sits. The arrays run in parallel.
create table installation (
  tenant_id    int not null references tenant (id) on delete cascade,
  asset_id     bigint not null,
  software_ids int[] not null,
  location_ids bigint[] not null,
  primary key (tenant_id, asset_id)
);
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
  fixed_assets     int not null default 0,
  out_of_scope_assets int not null default 0,
  severity         smallint not null default 0,   -- worst among its open findings; the catalogue's own while none is open
  first_seen_at    timestamptz not null,
  updated_at       timestamptz not null default now(),
  primary key (tenant_id, vulnerability_id)
);
create index exposure_by_severity on exposure (tenant_id, severity, vulnerability_id);
create index exposure_by_assets on exposure (tenant_id, open_assets, vulnerability_id);
alter table exposure enable row level security, force row level security;
create policy tenant_wall on exposure using (tenant_id = app_tenant());
grant select, insert, update, delete on exposure to defender_app;

-- asset_tally and exposure_tally sum a tenant's assets and exposures up for its summary, so that reading it costs the same
-- whatever the size of the inventory. Triggers keep them, statement by statement, from the rows as they were and as they are.
create table asset_tally (
  tenant_id int not null references tenant (id) on delete cascade,
  integration_id bigint not null,
  state     text not null,
  os_family text not null,
  assets    bigint not null,
  critical  bigint not null, -- open findings
  high      bigint not null,
  medium    bigint not null,
  low       bigint not null,
  unknown   bigint not null,
  primary key (tenant_id, integration_id, state, os_family)
);
alter table asset_tally enable row level security, force row level security;
create policy tenant_wall on asset_tally using (tenant_id = app_tenant());
grant select, insert, update, delete on asset_tally to defender_app;

create table exposure_tally (
  tenant_id       int not null references tenant (id) on delete cascade primary key,
  vulnerabilities bigint not null, -- with an open finding
  fixed           bigint not null, -- findings
  out_of_scope    bigint not null
);
alter table exposure_tally enable row level security, force row level security;
create policy tenant_wall on exposure_tally using (tenant_id = app_tenant());
grant select, insert, update, delete on exposure_tally to defender_app;

create function tally_assets() returns trigger language plpgsql as
$$
declare
  added   text := 'select 1 as n, tenant_id, integration_id, state, os_family, open_critical, open_high, open_medium, open_low, open_unknown from new_rows';
  removed text := 'select -1 as n, tenant_id, integration_id, state, os_family, open_critical, open_high, open_medium, open_low, open_unknown from old_rows';
begin
  execute 'insert into asset_tally as t (tenant_id, integration_id, state, os_family, assets, critical, high, medium, low, unknown)
    select tenant_id, integration_id, state, os_family, sum(n), sum(n * open_critical), sum(n * open_high), sum(n * open_medium), sum(n * open_low), sum(n * open_unknown)
    from (' || case tg_op when 'INSERT' then added when 'DELETE' then removed else added || ' union all ' || removed end || ') c
    group by tenant_id, integration_id, state, os_family
    having sum(n) <> 0 or sum(n * open_critical) <> 0 or sum(n * open_high) <> 0 or sum(n * open_medium) <> 0 or sum(n * open_low) <> 0 or sum(n * open_unknown) <> 0
    on conflict (tenant_id, integration_id, state, os_family) do update set assets = t.assets + excluded.assets, critical = t.critical + excluded.critical,
      high = t.high + excluded.high, medium = t.medium + excluded.medium, low = t.low + excluded.low, unknown = t.unknown + excluded.unknown';
  return null;
end
$$;
create trigger tally after insert on asset referencing new table as new_rows for each statement execute function tally_assets();
create trigger tally_changed after update on asset referencing old table as old_rows new table as new_rows for each statement execute function tally_assets();
create trigger tally_gone after delete on asset referencing old table as old_rows for each statement execute function tally_assets();

create function tally_exposures() returns trigger language plpgsql as
$$
declare
  added   text := 'select tenant_id, (open_assets > 0)::int as exposed, fixed_assets as fixed, out_of_scope_assets as outside from new_rows';
  removed text := 'select tenant_id, -(open_assets > 0)::int as exposed, -fixed_assets as fixed, -out_of_scope_assets as outside from old_rows';
begin
  execute 'insert into exposure_tally as t (tenant_id, vulnerabilities, fixed, out_of_scope)
    select tenant_id, sum(exposed), sum(fixed), sum(outside)
    from (' || case tg_op when 'INSERT' then added when 'DELETE' then removed else added || ' union all ' || removed end || ') c
    group by tenant_id having sum(exposed) <> 0 or sum(fixed) <> 0 or sum(outside) <> 0
    on conflict (tenant_id) do update set vulnerabilities = t.vulnerabilities + excluded.vulnerabilities, fixed = t.fixed + excluded.fixed,
      out_of_scope = t.out_of_scope + excluded.out_of_scope';
  return null;
end
$$;
create trigger tally after insert on exposure referencing new table as new_rows for each statement execute function tally_exposures();
create trigger tally_changed after update on exposure referencing old table as old_rows new table as new_rows for each statement execute function tally_exposures();
create trigger tally_gone after delete on exposure referencing old table as old_rows for each statement execute function tally_exposures();

-- A tenant gets its partition with its first findings: load_begin makes a bare table, the importer fills it, load_index gives
-- it keys and indexes, load_attach attaches it, all in one transaction. Nobody sees a part of it, and a killed import leaves nothing.
-- They run as the owner, because the application role may not change the schema otherwise; the tenant is the caller's own.

-- load_wanted tells whether the tenant's findings are to have a partition of their own: it has none and no finding yet, and
-- there are fewer partitions than allowed, and at most 4 million shared findings: these are looked through while the partition is
-- attached, with their readers locked out, a quarter of a second for each million. It belongs into a transaction of its own: looking
-- into the shared partitions locks them until the transaction ends, and a load that held that lock would keep every other load from
-- being attached.
create function load_wanted(most int) returns boolean
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  known bool;
begin
  if app_tenant() is null or to_regclass(format('finding_t%s', app_tenant())) is not null
     or (select count(*) from pg_inherits where inhparent = 'finding'::regclass) > most
     or (select sum(c.reltuples) from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'finding_shared'::regclass) > 4e6 then
    return false;
  end if;
  -- With the number in the text, the plan has the tenant's partition alone and need not lock a thousand others.
  execute format('select exists (select from finding where tenant_id = %s)', app_tenant()) into known;
  return not known;
end
$$;

-- load_begin gives the name of the table to fill. A tenth of each page stays free: a few findings of a page that change stay on
-- it, and no index has to be written (a hundredth of a million, scattered: 97 MB of WAL instead of 229). Its columns are written
-- out from the catalogue, because "like finding" would lock finding for as long as the load takes, and partitions of others
-- could not be dropped meanwhile.
create function load_begin(at timestamptz) returns text
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  leaf text := format('finding_t%s', app_tenant());
  columns text := (
    select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)) || case when a.attnotnull then ' not null' else '' end
                      || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), ''), ', ' order by a.attnum)
    from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where a.attrelid = 'finding'::regclass and a.attnum > 0 and not a.attisdropped);
begin
  execute format('create table %I (%s, check (tenant_id = %s)) with (fillfactor = 90)', leaf, columns, app_tenant());
  -- What is the same in every row is cheaper as a default than as text to parse.
  execute format('alter table %I alter tenant_id set default %s, alter state set default 1, alter created_at set default %L, alter updated_at set default %L',
    leaf, app_tenant(), at, at);
  execute format('grant insert on %I to defender_app', leaf);
  return leaf;
end
$$;

-- attempt_patience is how long an attempt waits for a lock, with everybody who comes later behind it. Now and then it is longer than
-- the server takes to look for a deadlock: an autovacuum that is in the way is ended then, and by nothing else.
create function attempt_patience(attempt int) returns text
  language sql stable as
$$
  select case when attempt % 20 = 10 then (extract(epoch from current_setting('deadlock_timeout')::interval) * 1000)::int + 200 else 100 end || 'ms'
$$;

-- others_at_work tells whether a job of another tenant is being carried out, by any replica. It opens the queue across tenants for itself alone.
create function others_at_work() returns boolean
  language plpgsql as
$$
declare
  outside text := current_setting('app.system', true);
  found_any boolean;
begin
  perform set_config('app.system', 'on', true);
  found_any := exists (select from job where tenant_id <> app_tenant() and state = 'running' and lease_until > clock_timestamp());
  perform set_config('app.system', coalesce(outside, ''), true);
  return found_any;
end
$$;

-- load_index builds the indexes one after the other. If others are at work when one begins, it is built without parallel workers: with two of them
-- it would take three of the database's processes, beside one for each small import. Where others wait for it, hurry builds them with workers all the same.
create function load_index(hurry boolean default false) returns void
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  leaf text := format('finding_t%s', app_tenant());
  workers text := current_setting('max_parallel_maintenance_workers');
  index text;
begin
  execute format('revoke all on %I from defender_app', leaf);
  execute format('alter table %I alter tenant_id drop default, alter state drop default, alter created_at drop default, alter updated_at drop default', leaf);
  perform set_config('maintenance_work_mem', '256MB', true);
  foreach index in array array[
    'alter table %I add primary key (tenant_id, asset_id, vulnerability_id)',
    'create index on %I (vulnerability_id, severity, asset_id)',
    'create index on %I (severity, asset_id, vulnerability_id)',
    'create index on %I (first_seen_at, asset_id, vulnerability_id)',
    'create index on %I (state, asset_id, vulnerability_id) where state <> 1'
  ] loop
    perform set_config('max_parallel_maintenance_workers', case when not hurry and others_at_work() then '0' else workers end, true);
    execute format(index, leaf);
  end loop;
  execute format('alter table %I enable row level security, force row level security', leaf);
  execute format('create policy tenant_wall on %I using (tenant_id = app_tenant())', leaf);
  execute format('analyze %I', leaf);
end
$$;

-- load_attach makes the table the tenant's partition. That locks the shared partitions, to see that they hold no row of this tenant, until the
-- transaction ends: little may come behind it. Waiting for that lock would hold up all their readers: it gives up soon, for its caller to try again.
create function load_attach(attempt int) returns void
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  patience text := current_setting('lock_timeout');
begin
  perform set_config('lock_timeout', attempt_patience(attempt), true);
  execute format('alter table finding attach partition %I for values in (%s)', format('finding_t%s', app_tenant()), app_tenant());
  perform set_config('lock_timeout', patience, true);
end
$$;

-- drop_findings removes a tenant's partition, if it has one, with all it holds.
create function drop_findings() returns void
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  leaf text := format('finding_t%s', app_tenant());
  patience text := current_setting('lock_timeout');
begin
  if app_tenant() is null or to_regclass(leaf) is null then
    return;
  end if;
  -- This waits for whoever reads findings of any tenant, and new readers would queue behind it.
  for attempt in 1..600 loop
    perform set_config('lock_timeout', attempt_patience(attempt), true);
    begin
      execute format('drop table %I', leaf);
      perform set_config('lock_timeout', patience, true);
      return;
    exception when lock_not_available then
      perform pg_sleep(0.1 + random() * 0.2);
    end;
  end loop;
  raise lock_not_available using message = 'the partition cannot be dropped while others read findings';
end
$$;
-- place_apart moves a tenant's findings from the shared partitions into one of its own, and tells how many. Imports of all
-- tenants that share wait meanwhile; readers only for the attaching. An import that has read them and wants to write waits for the
-- move, and the attaching for that import: it is tried again, and the import gives up in time.
create function place_apart() returns bigint
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  leaf text := format('finding_t%s', app_tenant());
  moved bigint;
begin
  if app_tenant() is null or to_regclass(leaf) is not null then
    return 0;
  end if;
  lock table finding_shared in share row exclusive mode;
  perform load_begin(now());
  execute format('with gone as (delete from finding_shared where tenant_id = %s returning *) insert into %I select * from gone', app_tenant(), leaf);
  get diagnostics moved = row_count;
  perform load_index(hurry => true);
  for attempt in 1..600 loop
    begin
      perform load_attach(attempt);
      return moved;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.1 + random() * 0.2);
    end;
  end loop;
  raise lock_not_available using message = 'findings cannot be attached while others hold the shared partitions';
end
$$;

-- place_together moves the findings of a tenant's own partition to the shared ones, and tells how many. From the detaching on
-- everybody who reads findings waits until it is done, so it refuses more than "most".
create function place_together(most bigint) returns bigint
  language plpgsql security definer set search_path = public, pg_temp as
$$
declare
  leaf text := format('finding_t%s', app_tenant());
  patience text := current_setting('lock_timeout');
  detached boolean := false;
  moved bigint;
begin
  if app_tenant() is null or to_regclass(leaf) is null then
    return 0;
  end if;
  execute format('select count(*) from (select from %I limit %s) f', leaf, most + 1) into moved;
  if moved > most then
    raise program_limit_exceeded using message = 'the partition holds too many findings';
  end if;
  -- This waits for whoever reads findings of any tenant, and new readers would queue behind it.
  for attempt in 1..600 loop
    perform set_config('lock_timeout', attempt_patience(attempt), true);
    begin
      execute format('alter table finding detach partition %I', leaf);
      detached := true;
      exit;
    exception when lock_not_available or deadlock_detected then
      perform pg_sleep(0.1 + random() * 0.2);
    end;
  end loop;
  if not detached then
    raise lock_not_available using message = 'the partition cannot be detached while others read findings';
  end if;
  perform set_config('lock_timeout', patience, true);
  execute format('insert into finding_shared select * from %I', leaf);
  get diagnostics moved = row_count;
  execute format('drop table %I', leaf);
  return moved;
end
$$;

-- findings_table gives the name of the table that a tenant's findings go to: its own, or the one of those that are shared where it has its place.
create function findings_table() returns text
  language sql stable as
$$
  select coalesce(to_regclass(format('finding_t%s', app_tenant()))::text, (
    select 'finding_shared_' || n from generate_series(0, 15) n where satisfies_hash_partition('finding_shared'::regclass, 16, n, app_tenant())))
$$;

revoke all on function load_wanted(int), load_begin(timestamptz), others_at_work(), load_index(boolean), load_attach(int), drop_findings(), place_apart(), place_together(bigint) from public;
grant execute on function load_wanted(int), load_begin(timestamptz), load_index(boolean), load_attach(int), drop_findings(), place_apart(), place_together(bigint) to defender_app;

-- The partitions have the wall as well, whoever is let at them one day.
do $$
declare
  leaf regclass;
begin
  for leaf in select relid from pg_partition_tree('finding') where level > 0 loop
    execute format('alter table %s enable row level security, force row level security', leaf);
    execute format('create policy tenant_wall on %s using (tenant_id = app_tenant())', leaf);
  end loop;
end
$$;
