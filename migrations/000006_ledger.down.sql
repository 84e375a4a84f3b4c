drop table run_skipped;
