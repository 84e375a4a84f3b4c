drop table job, run, integration;
