drop function key_holder(bytea, interval);
