drop trigger tenant_takes on tenant_key;
drop trigger tenant_takes on api_key;
drop trigger tenant_takes on integration;
drop trigger tenant_takes on run;
drop function tenant_takes();
alter table tenant drop column purged, drop column max_integrations, drop column version;
