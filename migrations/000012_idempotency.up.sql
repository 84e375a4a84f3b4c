-- idempotency: requests with an Idempotency-Key of the last day. What a request changed is written here in the transaction of
-- the change (made), so that a repetition finds it whenever the process ended; its answer follows, sealed with a key that takes
-- both the service's keyring and the Idempotency-Key itself, which is not stored. No foreign key leads to tenant: 0 is the
-- platform's own.
create table idempotency (
  tenant_id  int not null check (tenant_id >= 0),
  name       bytea not null check (length(name) = 32),    -- hash of who asked and by which key
  request    bytea not null check (length(request) = 32), -- keyed hash of what was asked
  holder     uuid not null,                               -- the try that has the name
  held_until timestamptz not null,                        -- when another one may take its place, if it has changed nothing
  made       text not null default '',                    -- public id of what it changed
  keepsake   bytea,
  answer     bytea,
  created_at timestamptz not null default now(),
  primary key (tenant_id, name)
);
create index idempotency_by_age on idempotency (created_at);
alter table idempotency enable row level security, force row level security;
create policy tenant_wall on idempotency using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on idempotency to defender_app;
