-- key_holder answers who presents a key, and why it counts no more if it does not: then the audit trail is told. Nobody, if the
-- key is unknown. It opens the tables across tenants for itself alone, so that a request needs no transaction for this. It takes
-- the place of principal_by_key, which processes of the release before still ask.
create function key_holder(key_hash bytea, grain interval, out tenant_id int, out public_id uuid, out name text, out role text, out touch bool, out refused text)
  returns setof record language plpgsql as
$$
declare
  outside text := current_setting('app.system', true);
begin
  perform set_config('app.system', 'on', true);
  return query
    select k.tenant_id, k.public_id, k.name, k.role, k.last_used_at is null or k.last_used_at < now() - grain,
      case when k.revoked_at is not null then 'key_revoked' when k.expires_at <= now() then 'key_expired'
           when t.state <> 'active' then 'tenant_inactive' else '' end
    from api_key k join tenant t on t.id = k.tenant_id
    where k.hash = key_hash;
  perform set_config('app.system', coalesce(outside, ''), true);
end
$$;
