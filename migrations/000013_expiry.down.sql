drop index integration_expiry;
alter table integration drop column secret_expired_at;
create index integration_expiry on integration (secret_expires_at) where secret_box is not null;
