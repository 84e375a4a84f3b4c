drop function place_tenant(int);
drop table exposure, remediation, installation, finding;
