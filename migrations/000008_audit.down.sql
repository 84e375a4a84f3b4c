drop table audit_head;
drop table audit_event;
drop function audit_event_stands();
