-- What the run or check that met state_reason or staged_problem told of it: cause, remedy and who acts are often known better
-- than the code alone says. Null in rows that were written before, and where there is no problem.
alter table integration add column state_notice jsonb, add column staged_notice jsonb;

-- A reading of the catalogue that came to its end without some entries, which could not be read, serves for a while like a
-- whole one; the next one begins where it began. Null when the last reading had them all.
alter table catalogue_read add column gaps_at timestamptz;
