-- When Microsoft first called the secret in use expired, apart from what somebody or the certificate said of it, which a mistake of
-- Microsoft's must not overwrite. Null while the secret works, as far as anybody knows. The earlier of the two is warned of.
alter table integration add column secret_expired_at timestamptz
  check (secret_expired_at >= '0001-01-01 00:00:00+00' and secret_expired_at < '10000-01-01 00:00:00+00');
drop index integration_expiry;
create index integration_expiry on integration (least(secret_expires_at, secret_expired_at)) where secret_box is not null;
