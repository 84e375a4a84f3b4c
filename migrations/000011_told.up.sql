-- What the run or check that met state_reason or staged_problem told of it: cause, remedy and who acts are often known better
-- than the code alone says. Null in rows that were written before, and where there is no problem.
alter table integration add column state_notice jsonb, add column staged_notice jsonb;
