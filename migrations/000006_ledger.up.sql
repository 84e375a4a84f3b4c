-- run_skipped: what a run left out, in the order of stages and reasons: chunks of JSON lines under gzip, each of one reason. A
-- few thousand lines of ids shrink to a tenth, and nobody looks for one of them across runs.
create table run_skipped (
  tenant_id int not null,
  run_id    bigint not null,
  chunk     int not null,
  stage     text not null,
  reason    text not null,
  lines     int not null,
  records   bigint not null, -- that the lines stand for
  body      bytea not null,
  primary key (tenant_id, run_id, chunk),
  foreign key (tenant_id, run_id) references run (tenant_id, id) on delete cascade
);
alter table run_skipped alter body set storage external; -- compressed already
alter table run_skipped enable row level security, force row level security;
create policy tenant_wall on run_skipped using (tenant_id = app_tenant());
grant select, insert, delete on run_skipped to defender_app;

-- reconciliation: the last comparison of what is stored of an integration with Defender's own totals. Its counts of exposed
-- machines are the directory's own, so they are here and not in the shared catalogue.
create table reconciliation (
  tenant_id      int not null,
  integration_id bigint not null,
  taken_at       timestamptz not null,
  told           boolean not null, -- whether Defender's counts could be read
  body           jsonb not null,
  primary key (tenant_id, integration_id),
  foreign key (tenant_id, integration_id) references integration (tenant_id, id) on delete cascade
);
alter table reconciliation enable row level security, force row level security;
create policy tenant_wall on reconciliation using (tenant_id = app_tenant());
grant select, insert, update, delete on reconciliation to defender_app;

-- preview: set of a run that changes nothing; its settings are those that it tries out.
alter table run add column preview jsonb;
