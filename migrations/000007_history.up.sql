-- finding_event: what became of a finding, run by run. The first import of a tenant writes none: a finding without an event
-- came when it was created and has not changed since. An unchanged run writes nothing here.
create table finding_event (
  tenant_id        int not null references tenant (id) on delete cascade,
  id               bigint generated always as identity,
  asset_id         bigint not null,
  vulnerability_id int not null,
  run_id           bigint not null,
  at               timestamptz not null,
  change           smallint not null,        -- 1 created, 2 updated, 3 fixed, 4 reopened, 5 out of scope, 6 back in scope
  reason           text,                     -- why out of scope
  severity         smallint not null,        -- from then on
  old_severity     smallint,                 -- until then, if it was open
  old_software_ids int[],                    -- until then, if they changed
  primary key (tenant_id, asset_id, vulnerability_id, id)
);
create index finding_event_by_time on finding_event (at); -- they are pruned by age; all of a run's have one time, which the index has once
alter table finding_event enable row level security, force row level security;
create policy tenant_wall on finding_event using (tenant_id = app_tenant() or app_system());
grant select, insert, delete on finding_event to defender_app;
