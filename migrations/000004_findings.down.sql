drop function load_wanted(int), load_begin(timestamptz), load_index(boolean), others_at_work(), load_attach(int), attempt_patience(int), drop_findings(), place_apart(), place_together(bigint), findings_table();
drop table asset_tally, exposure_tally, exposure, remediation, installation, location, finding;
drop function tally_assets() cascade;
drop function tally_exposures();
