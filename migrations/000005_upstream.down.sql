drop function upstream_take(uuid, uuid, text, bigint, int, bigint, int, int, bigint, bool, bigint, bigint, timestamptz);
drop function upstream_fail(uuid, uuid, bigint, int, bigint, bigint, float8, timestamptz);
drop table upstream_quota, upstream_breaker;
