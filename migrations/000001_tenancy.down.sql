drop function key_holder(bytea[], interval);
drop table keyring_check, api_key, entitlement, tenant;
drop function app_system();
drop function app_tenant();
-- The role stays: other databases of the same server may use it.
revoke select on schema_migrations from defender_app;
revoke usage on schema public from defender_app;
