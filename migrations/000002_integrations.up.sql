-- A tenant's links to Microsoft directories, their runs, and the queue that carries the work out.

create table integration (
  tenant_id         int not null references tenant (id) on delete cascade,
  id                bigint generated always as identity,
  public_id         uuid not null,
  type              text not null,
  name              text not null,
  directory_id      uuid not null,
  client_id         uuid not null,
  secret_method     text not null default 'client_secret' check (secret_method in ('client_secret', 'certificate', 'federated')),
  secret_box        bytea,                -- sealed; null once disconnected; with nothing in it when federated
  secret_hint       text not null default '',
  secret_updated_at timestamptz not null default now(),
  secret_expires_at timestamptz,
  secret_warned     int,                  -- the days before its expiry that were told last; null when none
  staged_box        bytea,                -- another credential, sealed, that takes the secret's place once it works; null when none
  staged_method     text not null default 'client_secret' check (staged_method in ('client_secret', 'certificate', 'federated')),
  staged_client_id  uuid,
  staged_hint       text not null default '',
  staged_expires_at timestamptz,
  staged_at         timestamptz,
  staged_checked_at timestamptz,          -- when it was last tried
  staged_problem    text not null default '', -- what that met; a code
  settings          jsonb not null,
  interval_hours    int not null check (interval_hours between 1 and 168),
  state             text not null check (state in ('active', 'paused', 'degraded', 'action_required', 'disconnecting', 'disconnected')),
  state_reason      text not null default '',
  failures          int not null default 0,  -- runs failed in a row
  next_run_at       timestamptz,
  wait_until        timestamptz,          -- when Microsoft asked not to be asked before: no planned run comes earlier, whatever next_run_at says
  asked_at          timestamptz,          -- when somebody last did what a run is to come for at once
  recheck_at        timestamptz not null default now() + interval '1 day', -- when its credentials are to be tried without anybody asking
  last_success_at   timestamptz,
  purge_at          timestamptz,          -- when a purge of what it imported is to be queued; null while connected, and once nothing is left
  reading           jsonb not null default '{}', -- how its report was read last: what the next reading may build on
  guard             jsonb not null default '{}', -- what the removal guard holds back until a second run agrees
  version           bigint not null default 1,   -- moves with every change somebody made
  created_at        timestamptz not null default now(),
  updated_at        timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, public_id),
  constraint integration_times_check check (
    least(secret_updated_at, secret_expires_at, staged_expires_at, staged_at, staged_checked_at, next_run_at, wait_until, asked_at, recheck_at, last_success_at,
          purge_at, created_at, updated_at) >= '0001-01-01 00:00:00+00'
    and greatest(secret_updated_at, secret_expires_at, staged_expires_at, staged_at, staged_checked_at, next_run_at, wait_until, asked_at, recheck_at, last_success_at,
          purge_at, created_at, updated_at) < '10000-01-01 00:00:00+00')
);
create unique index integration_directory on integration (tenant_id, type, directory_id) where state not in ('disconnecting', 'disconnected');
create index integration_due on integration (next_run_at) where next_run_at is not null;
create index integration_recheck on integration (recheck_at)
  where secret_box is not null and state in ('active', 'degraded', 'action_required');
create index integration_expiry on integration (secret_expires_at) where secret_box is not null;
create index integration_aged on integration (purge_at) where purge_at is not null;
alter table integration enable row level security, force row level security;
create policy tenant_wall on integration using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on integration to defender_app;

create table run (
  tenant_id      int not null,
  id             bigint generated always as identity,
  public_id      uuid not null,
  integration_id bigint not null,
  kind           text not null default 'sync' check (kind in ('sync', 'purge')),
  trigger        text not null check (trigger in ('schedule', 'manual', 'connect')),
  mode           text not null check (mode in ('incremental', 'full')),
  state          text not null check (state in ('queued', 'running', 'cancelling', 'succeeded', 'partially_succeeded', 'failed', 'cancelled')),
  stage          text not null default 'queued',
  report         jsonb not null default '{}', -- progress, stages, skips with samples, warnings, error
  created_at     timestamptz not null default now(),
  started_at     timestamptz,
  finished_at    timestamptz,
  updated_at     timestamptz not null default now(),
  primary key (tenant_id, id),
  unique (tenant_id, public_id),
  foreign key (tenant_id, integration_id) references integration (tenant_id, id) on delete cascade,
  constraint run_times_check check (least(created_at, started_at, finished_at, updated_at) >= '0001-01-01 00:00:00+00'
    and greatest(created_at, started_at, finished_at, updated_at) < '10000-01-01 00:00:00+00')
);
create unique index run_active on run (tenant_id, integration_id) where state in ('queued', 'running', 'cancelling');
create index run_by_integration on run (tenant_id, integration_id, id desc);
alter table run enable row level security, force row level security;
create policy tenant_wall on run using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on run to defender_app;

-- The queue. A row lives until its work has ended; fence grows with every claim, so that a worker that lost its lease
-- can be told from the one that holds it now.
create table job (
  id               bigint generated always as identity primary key,
  tenant_id        int not null references tenant (id) on delete cascade,
  kind             text not null,
  subject          uuid not null,            -- what the work is about; at most one live job per kind and subject
  run_id           bigint not null,
  state            text not null default 'queued' check (state in ('queued', 'running', 'dead')),
  run_at           timestamptz not null default now(), -- when it is due; of a dead one, when it was set aside
  attempt          int not null default 0,
  fence            bigint not null default 0,
  holder           text not null default '',
  lease_until      timestamptz,
  cancel_requested boolean not null default false,
  last_error       text not null default '', -- a code, never a text from outside
  created_at       timestamptz not null default now(),
  constraint job_times_check check (least(run_at, lease_until, created_at) >= '0001-01-01 00:00:00+00'
    and greatest(run_at, lease_until, created_at) < '10000-01-01 00:00:00+00')
);
create unique index job_live on job (tenant_id, kind, subject) where state <> 'dead';
create index job_due on job (run_at, id) where state = 'queued';
create index job_leases on job (lease_until) where state = 'running';
create index job_dead on job (run_at) where state = 'dead';
alter table job enable row level security, force row level security;
create policy tenant_wall on job using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on job to defender_app;
