drop trigger sealed_with_stored_key on integration;
drop function sealed_with_stored_key();
drop table tenant_key;
revoke update (box) on keyring_check from defender_app;
delete from keyring_check where key_id like '%://%';
