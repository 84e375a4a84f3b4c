drop table run_skipped, reconciliation;
delete from run where preview is not null;
alter table run drop column preview;
