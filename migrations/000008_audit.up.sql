-- audit_event: what was done to what, by whom, numbered without gaps in a chain per tenant; chain 0 is the platform's, for what
-- belongs to no tenant yet. No foreign key leads to tenant on purpose: the chain outlives the tenant it is about, and nothing
-- cascades into it. The application may add and read, and nothing else.
create table audit_event (
  tenant_id     int not null check (tenant_id >= 0),
  sequence      bigint not null check (sequence > 0),
  public_id     uuid not null,
  at            timestamptz not null,
  actor_kind    text not null check (actor_kind in ('api_key', 'token', 'cli', 'system')),
  actor_id      text not null,
  actor_name    text not null check (actor_name <> ''),
  action        text not null,
  resource_type text not null,
  resource_id   text not null,
  outcome       text not null check (outcome in ('succeeded', 'refused', 'failed')),
  request_id    text not null,
  address       text not null,
  changes       jsonb not null check (jsonb_typeof(changes) = 'array'),
  key_id        text not null,              -- of the keyring's key that the hash was made with; empty for none
  hash          bytea not null check (length(hash) = 32),
  primary key (tenant_id, sequence)
);
alter table audit_event enable row level security, force row level security;
create policy tenant_wall on audit_event using (tenant_id = app_tenant() or app_system());
grant select, insert on audit_event to defender_app;

-- The owner's own code cannot change it either without taking this away first, which no statement of the program does.
create function audit_event_stands() returns trigger language plpgsql as
$$
begin
  raise exception 'audit events are never changed' using errcode = 'insufficient_privilege';
end
$$;
create trigger audit_event_stands before update or delete on audit_event for each row execute function audit_event_stands();
create trigger audit_event_stays before truncate on audit_event for each statement execute function audit_event_stands();

-- audit_head: how far each chain goes. Its row is locked for as long as an event is added, so that a chain has no gaps and no
-- fork; chains do not wait for each other.
create table audit_head (
  tenant_id int primary key check (tenant_id >= 0),
  sequence  bigint not null,
  hash      bytea not null
);
alter table audit_head enable row level security, force row level security;
create policy tenant_wall on audit_head using (tenant_id = app_tenant() or app_system());
grant select, insert, update on audit_head to defender_app;
