alter table integration drop column state_notice, drop column staged_notice;
