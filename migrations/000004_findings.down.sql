drop function load_begin(int), load_end();
drop table exposure, remediation, installation, location, finding;
