alter table catalogue_read drop column gaps_at;
alter table integration drop column state_notice, drop column staged_notice;
