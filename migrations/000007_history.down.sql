drop table finding_event;
