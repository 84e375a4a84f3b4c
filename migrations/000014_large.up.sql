-- How many rows of a source's report the work is expected to read, as far as that is known: by the last whole reading, or by the
-- machines counted so far. A process lets only some of its workers take large work; which is large it is set to know.
alter table job add column report_rows bigint not null default 0 check (report_rows >= 0);
