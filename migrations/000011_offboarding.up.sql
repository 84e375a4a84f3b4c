-- What somebody may change of a tenant, and its end.
alter table tenant
  add column version          bigint not null default 1, -- moves with every change somebody made
  add column max_integrations int not null default 0 check (max_integrations >= 0), -- connected at a time; 0: no limit
  add column purged           jsonb not null default '{}'; -- while it is deleting: rows deleted so far, by table

-- Who was let in just before a tenant was suspended or began to be deleted starts nothing afterwards, and leaves nothing that
-- the deletion would not find. The lock waits for whoever is just changing the state, and they for what came before them.
create function tenant_takes() returns trigger language plpgsql as
$$
begin
  perform from tenant where id = new.tenant_id and (state = 'active' or state = 'suspended' and tg_table_name <> 'run') for share;
  if not found then
    raise exception using errcode = 'DK002', message = 'the tenant is suspended or being deleted';
  end if;
  return new;
end
$$;
create trigger tenant_takes before insert on run for each row execute function tenant_takes();
create trigger tenant_takes before insert on integration for each row execute function tenant_takes();
create trigger tenant_takes before insert on api_key for each row execute function tenant_takes();
create trigger tenant_takes before insert on tenant_key for each row execute function tenant_takes();
