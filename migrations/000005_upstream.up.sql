-- What is counted of the calls to Microsoft, who counts them by application and directory: all processes share it here, and
-- it outlives them. It is no tenant's data. Two tenants that connect the same application and directory share one quota at
-- Microsoft, and therefore one row here; so there is no wall, no column names a tenant, and no route of the API reads these
-- tables. What a tenant meets of another's calls is the waiting that Microsoft itself would impose, and that the directory has
-- not answered for some time, which it would find out by itself.

-- upstream_quota: one quota as two buckets, kept as the moment at which each is full again (the generic cell rate algorithm,
-- ITU-T I.371). A call moves both moments on by what one call costs.
create table upstream_quota (
  application   uuid not null,
  directory     uuid not null,
  family        text not null,
  minute_full   timestamptz not null,
  hour_full     timestamptz not null,
  held_until    timestamptz not null, -- no call before: Microsoft said so
  repeat_tenths int not null,         -- repeats that are allowed now, in tenths: each call earns one
  used_at       timestamptz not null,
  primary key (application, directory, family)
) with (fillfactor = 50); -- each call updates its row, and no index has the columns that change
grant select, insert, update, delete on upstream_quota to defender_app;

-- upstream_breaker: directories that fail to answer. Without a row, all is well.
create table upstream_breaker (
  application uuid not null,
  directory   uuid not null,
  failures    int not null,       -- in a row, until it opens
  openings    int not null,       -- in a row: each is longer than the one before
  open_since  timestamptz,        -- null while closed
  open_until  timestamptz,        -- from then on one caller may try
  probe_by    bigint,             -- that caller
  probe_until timestamptz,        -- after which the caller is taken for dead
  used_at     timestamptz not null,
  primary key (application, directory)
) with (fillfactor = 50);
grant select, insert, update, delete on upstream_breaker to defender_app;

-- upstream_take reserves the next call of a quota, or refuses it and changes nothing: refused is "open" when the directory's
-- breaker is, and "wait" when the call would have to wait longer than most_wait. The lock on the quota's row makes
-- reservations come one after the other: who is first is served first. Durations are in microseconds; an asked_at of null is
-- the database's time. One caller at a time may try while the breaker is open: once its time has come or, a person, before.
create function upstream_take(
  app uuid, dir uuid, fam text, minute_cost bigint, minute_burst int, hour_cost bigint, hour_burst int, most_tenths int,
  caller bigint, person bool, most_wait bigint, probe_lease bigint, asked_at timestamptz,
  out wait bigint, out ticket timestamptz, out refused text, out failing bool, out probe bool, out since timestamptz)
language plpgsql as
$$
declare
  us constant interval := interval '1 microsecond';
  q upstream_quota;
  b upstream_breaker;
  moment timestamptz := coalesce(asked_at, clock_timestamp());
  due timestamptz;
begin
  refused := '';
  select * into q from upstream_quota where application = app and directory = dir and family = fam for update;
  if not found then
    insert into upstream_quota values (app, dir, fam, moment, moment, moment, most_tenths, moment)
    on conflict (application, directory, family) do update set used_at = excluded.used_at returning * into q;
  end if;
  moment := coalesce(asked_at, clock_timestamp()); -- now that nobody is in front any more
  due := greatest(moment, q.held_until, q.minute_full - (minute_burst - 1) * minute_cost * us, q.hour_full - (hour_burst - 1) * hour_cost * us);
  wait := round(extract(epoch from due - moment) * 1000000);

  select * into b from upstream_breaker where application = app and directory = dir;
  failing := found;
  if b.open_since is not null then
    -- Looked at again under a lock: quotas of several families share this row.
    select * into b from upstream_breaker where application = app and directory = dir for update;
  end if;
  probe := b.open_since is not null;
  if probe and not coalesce(b.probe_by = caller and b.probe_until > moment, false) and
     (coalesce(b.probe_until > moment, false) or b.open_until > moment and not person) then
    refused := 'open';
    probe := false;
    since := b.open_since;
    wait := round(extract(epoch from case when person then b.probe_until else greatest(b.open_until, b.probe_until) end - moment) * 1000000);
    return;
  end if;
  if wait > most_wait then
    refused := 'wait';
    probe := false;
    return;
  end if;
  if probe then
    update upstream_breaker set probe_by = caller, probe_until = due + probe_lease * us, used_at = moment
    where application = app and directory = dir;
  end if;
  update upstream_quota set minute_full = greatest(minute_full, due) + minute_cost * us, hour_full = greatest(hour_full, due) + hour_cost * us,
         repeat_tenths = least(repeat_tenths + 1, most_tenths), used_at = moment
  where application = app and directory = dir and family = fam
  returning minute_full into ticket;
end
$$;

-- upstream_fail counts a call that was not answered, and tells whether the breaker opened by it. A failure of whoever tries
-- when its time has come opens it for longer. Other failures while it is open change nothing: their calls were on their way
-- when it opened, or a person tried early. Durations are in microseconds; cut (0 to 1) takes up to a fifth off, so that
-- callers do not come back in step.
create function upstream_fail(app uuid, dir uuid, caller bigint, threshold int, shortest bigint, longest bigint, cut float8, asked_at timestamptz)
returns bool language plpgsql as
$$
declare
  b upstream_breaker;
  moment timestamptz := coalesce(asked_at, clock_timestamp());
  opens bool;
begin
  insert into upstream_breaker values (app, dir, 0, 0, null, null, null, null, moment)
  on conflict (application, directory) do update set used_at = excluded.used_at returning * into b;
  if b.open_since is null then
    b.failures := b.failures + 1;
    opens := b.failures >= threshold;
  else
    opens := b.probe_by is not distinct from caller and b.open_until <= moment;
  end if;
  if opens then
    b.open_since := coalesce(b.open_since, moment);
    b.open_until := moment + least(shortest * 2 ^ least(b.openings, 30), longest) * (1 - cut / 5) * interval '1 microsecond';
    b.openings := b.openings + 1;
  end if;
  if b.probe_by = caller then
    b.probe_by := null;
    b.probe_until := null;
  end if;
  update upstream_breaker set failures = b.failures, openings = b.openings, open_since = b.open_since, open_until = b.open_until,
         probe_by = b.probe_by, probe_until = b.probe_until
  where application = app and directory = dir;
  return opens;
end
$$;
