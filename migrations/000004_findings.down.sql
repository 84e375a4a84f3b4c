drop function load_wanted(int), load_begin(timestamptz), load_end(), drop_findings(), place_apart(), place_together(bigint), findings_table();
drop table exposure, remediation, installation, location, finding;
