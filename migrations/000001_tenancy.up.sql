-- Who may ask, and the two walls between tenants: tenant_id leads every key, and row-level security is forced on every
-- table that holds tenants' data. The service connects as the role defender_app, which owns nothing and bypasses nothing.

do $$
begin
  -- Looked for first: a user who may not create roles can migrate once somebody else has made this one.
  if not exists (select from pg_roles where rolname = 'defender_app') then
    create role defender_app nologin nobypassrls;
  end if;
exception
  when duplicate_object or unique_violation then null; -- roles are shared by all databases of a server
end
$$;

-- Whoever migrates must be able to act as the application afterwards. Tried rather than looked up: from version 16 on, to be
-- a member of a role is not yet to be permitted to act as it.
do $$
begin
  set local role defender_app;
  reset role;
exception
  when insufficient_privilege then
    execute format('grant defender_app to %I', current_user);
end
$$;

grant usage on schema public to defender_app;

-- The migrator made it before this file ran; the service looks there whether the schema fits.
grant select on schema_migrations to defender_app;

-- The tenant of the running transaction; null, hence no rows, when nobody set it.
create function app_tenant() returns int
  language sql stable parallel safe
  return nullif(current_setting('app.tenant_id', true), '')::int;

-- Whether the running transaction is one of the few that look across tenants: finding the owner of an API key, claiming
-- due work, seeing whether others are at work, counting for metrics. Only the tables whose policy names it open up; inventory never does.
create function app_system() returns boolean
  language sql stable parallel safe
  return coalesce(current_setting('app.system', true), '') = 'on';

-- Times that whole lists are read with are of the years 1 to 9999: the application's role could write one that the program cannot read or
-- show, and would take everything down that stands beside it. "least" and "greatest" pass over what is null.
create table tenant (
  id          int generated always as identity primary key,
  public_id   uuid not null unique,
  name        text not null check (name <> ''),
  pgp_account text not null default '',
  state       text not null default 'active' check (state in ('active', 'suspended', 'deleting')),
  created_at  timestamptz not null default now(),
  updated_at  timestamptz not null default now(),
  constraint tenant_times_check
    check (least(created_at, updated_at) >= '0001-01-01 00:00:00+00' and greatest(created_at, updated_at) < '10000-01-01 00:00:00+00')
);
-- Tokens name tenants by it.
create unique index tenant_account on tenant (lower(pgp_account collate "C")) where pgp_account <> '';
alter table tenant enable row level security, force row level security;
create policy tenant_wall on tenant using (id = app_tenant() or app_system());
grant select, insert, update, delete on tenant to defender_app;

create table entitlement (
  tenant_id            int primary key references tenant (id) on delete cascade,
  internal_assessments boolean not null default false,
  max_assets           int not null default 0 check (max_assets >= 0), -- 0: no limit
  valid_from           date,
  valid_until          date,
  source               text not null default '',
  version              bigint not null default 1,
  updated_at           timestamptz not null default now(),
  constraint entitlement_days_check check (least(valid_from, valid_until) >= '0001-01-01 BC' and greatest(valid_from, valid_until) < '10000-01-01') -- what callers may write: 0000 to 9999
);
alter table entitlement enable row level security, force row level security;
create policy tenant_wall on entitlement using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on entitlement to defender_app;

create table api_key (
  tenant_id    int not null references tenant (id) on delete cascade,
  public_id    uuid not null,
  name         text not null,
  role         text not null check (role in ('readonly', 'analyst', 'admin')),
  hash         bytea not null check (length(hash) = 32), -- keyed: made with a key of the keyring
  box          bytea not null, -- the key's digest, sealed for this tenant, id, name, role and expiry
  hint         text not null,
  expires_at   timestamptz not null,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  created_at   timestamptz not null default now(),
  primary key (tenant_id, public_id),
  constraint api_key_times_check check (least(expires_at, last_used_at, revoked_at, created_at) >= '0001-01-01 00:00:00+00'
    and greatest(expires_at, last_used_at, revoked_at, created_at) < '10000-01-01 00:00:00+00')
);
-- Looked up before the tenant is known.
create unique index api_key_hash on api_key (hash);
alter table api_key enable row level security, force row level security;
create policy tenant_wall on api_key using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on api_key to defender_app;

-- key_holder answers who presents a key, by the hashes it may be stored under, and why it counts no more if it does not: then the audit trail is told. Nobody, if the
-- key is unknown. It opens the tables across tenants for itself alone, so that a request needs no transaction for this.
create function key_holder(key_hashes bytea[], grain interval, out tenant_id int, out public_id uuid, out name text, out role text,
                           out expires_at timestamptz, out box bytea, out touch bool, out refused text)
  returns setof record language plpgsql as
$$
declare
  outside text := current_setting('app.system', true);
begin
  perform set_config('app.system', 'on', true);
  return query
    select k.tenant_id, k.public_id, k.name, k.role, k.expires_at, k.box,
      (k.last_used_at is null or k.last_used_at < now() - grain) and not current_setting('transaction_read_only')::boolean, -- a standby cannot note it
      case when k.revoked_at is not null then 'key_revoked' when k.expires_at <= now() then 'key_expired'
           when t.state <> 'active' then 'tenant_inactive' else '' end
    from api_key k join tenant t on t.id = k.tenant_id
    where k.hash = any(key_hashes);
  perform set_config('app.system', coalesce(outside, ''), true);
end
$$;

-- One row per key of the keyring that ever sealed something: a known value sealed with it, so that a start with the
-- wrong keys is refused before anything is written.
create table keyring_check (
  key_id     text primary key,
  box        bytea not null,
  created_at timestamptz not null default now()
);
grant select, insert on keyring_check to defender_app;
