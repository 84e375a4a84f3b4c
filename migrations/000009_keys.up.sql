-- tenant_key: what seals a tenant's secrets, itself only ever stored wrapped by a key that is not in this database. The
-- highest number seals, all open. Without its rows nothing of the tenant's secrets can be read any more, wherever copies are.
create table tenant_key (
  tenant_id  int not null references tenant (id) on delete cascade,
  number     int not null check (number > 0),
  kek        text not null check (kek <> ''), -- names the key that wrapped it, its version included
  wrapped    bytea not null,
  created_at timestamptz not null default now(),
  primary key (tenant_id, number)
);
alter table tenant_key enable row level security, force row level security;
create policy tenant_wall on tenant_key using (tenant_id = app_tenant() or app_system());
grant select, insert, update, delete on tenant_key to defender_app;

-- The check value of a key service's key is renewed with the version of that key.
grant update (box) on keyring_check to defender_app;

-- A secret that comes in was sealed with a data key that is stored, and that stays until the transaction has ended: so a
-- data key can be replaced and dropped while others write, and no secret is left without its key.
create function sealed_with_stored_key() returns trigger language plpgsql as
$$
declare
  box bytea;
begin
  foreach box in array array[new.secret_box, new.staged_box] loop
    -- Format 2 is what data keys seal: two bytes, of which the second is a length, and the number of the key.
    continue when box is null or length(box) < 2 or get_byte(box, 0) <> 2;
    if tg_op = 'UPDATE' then
      continue when box = old.secret_box or box = old.staged_box;
    end if;
    perform from tenant_key k
    where k.tenant_id = new.tenant_id and convert_to(k.number::text, 'UTF8') = substring(box from 3 for get_byte(box, 1))
    for key share;
    if not found then
      raise exception using errcode = 'DK001', message = 'the secret was sealed with a data key that is not stored any more';
    end if;
  end loop;
  return new;
end
$$;
create trigger sealed_with_stored_key before insert or update of secret_box, staged_box on integration
  for each row execute function sealed_with_stored_key();
