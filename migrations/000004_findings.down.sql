drop function load_begin(int, timestamptz), load_end(), drop_findings();
drop table exposure, remediation, installation, location, finding;
