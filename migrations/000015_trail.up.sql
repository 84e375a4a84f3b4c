-- A time that the program cannot read, or a number after which there is none, could be written by the application's role, and would stand in
-- the way of reading what comes beside it. Rows that are there already are not looked at: "audit verify" names them, and they must not
-- hold up an upgrade.
alter table audit_event
  add constraint audit_event_at_check check (isfinite(at) and at >= '2000-01-01 00:00:00+00' and at < '10000-01-01 00:00:00+00') not valid,
  add constraint audit_event_sequence_end_check check (sequence < 9223372036854775807) not valid;
