drop table run_skipped, reconciliation;
