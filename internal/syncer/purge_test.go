package syncer_test

import (
	"context"
	"errors"
	"testing"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
)

// crowded gives a house with an integration that has many assets, with history, and much beside them, about to be purged.
func crowded(t *testing.T, assets, beside int) (*house, connector.Integration) {
	t.Helper()
	h := newPlainHouse(t, 6, 5)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`insert into asset (tenant_id, public_id, integration_id, source_id, hostname, name_kind, primary_ip, state, content_hash)
		select $1, gen_random_uuid(), $2, 'more-' || n, 'more-' || n, 'short', '10.0.0.1', 'active', '' from generate_series(1, $3::int) n`, h.tenant, i.ID, assets)
	h.sql(`insert into installation select $1, id, '{1}', '{1}' from asset where tenant_id = $1 on conflict do nothing`, h.tenant)
	h.sql(`insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, severity)
		select $1, a.id, n, 1, now(), 1, 1 from asset a, generate_series(1, 5) n where a.tenant_id = $1`, h.tenant)
	h.sql(`insert into remediation (tenant_id, software_id, vulnerability_id) select $1, n, -n from generate_series(1, $2::int) n`, h.tenant, beside)
	h.sql(`insert into location (tenant_id, id) select $1, -n from generate_series(1, $2::int) n`, h.tenant, beside)
	_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true)
	must(t, err)
	return h, i
}

// mustBePurged holds that nothing is left of the only integration, and that its end is told once.
func (h *house) mustBePurged(i connector.Integration) {
	h.t.Helper()
	if left := h.snapshot(h.tenant); left != "" {
		h.t.Errorf("left behind: %.300s", left)
	}
	if n := h.number(`select count(*) from finding_event`); n != 0 {
		h.t.Errorf("%d events are left", n)
	}
	if now := h.integration(i); now.State != connector.StateDisconnected {
		h.t.Errorf("the integration is %s", now.State)
	}
	events, _, err := h.store.ListAuditEvents(h.t.Context(), h.tenant, audit.Filter{Actions: []audit.Action{audit.IntegrationEmptied}}, inventory.PageRequest{Limit: 10})
	if err != nil || len(events) != 1 {
		h.t.Errorf("the end is recorded %d times, %v", len(events), err)
	}
}

// TestAPurgeDeletesInSmallTransactions counts what each transaction of a purge deletes from the tables that may be large.
func TestAPurgeDeletesInSmallTransactions(t *testing.T) {
	t.Parallel()
	const assets, beside = 1200, 11000
	h, i := crowded(t, assets, beside)
	h.sql(`create table step (tx bigint, name text, n bigint);
		create function tell() returns trigger language plpgsql security definer as
		$$ begin insert into step select txid_current(), tg_table_name, count(*) from gone; return null; end $$`)
	for _, table := range []string{"finding_event", "installation", "asset", "remediation", "location"} {
		h.sql(`create trigger tell after delete on ` + table + ` referencing old table as gone for each statement execute function tell()`)
	}
	run := h.work()
	mustSucceed(t, run)
	if n := run.Report.Totals().Removed; n != assets+6 {
		t.Errorf("%d assets were deleted", n)
	}
	h.mustBePurged(i)
	for table, most := range map[string]int64{"finding_event": 5 * 500, "installation": 500, "asset": 500, "remediation": 5000, "location": 5000} {
		if n := h.number(`select max(n) from (select sum(n) as n from step where name = $1 group by tx) s`, table); n == 0 || n > most {
			t.Errorf("%s: %d rows in one transaction", table, n)
		}
	}
}

// TestAPurgeGoesOnWhereItWasInterrupted lets the process die at one table after another, by a lock that somebody else holds on it. What readers see in
// between adds up.
func TestAPurgeGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	h, i := crowded(t, 600, 100)
	j := h.claim()
	for _, table := range []string{"finding", "finding_event", "exposure", "remediation", "location", "reconciliation", "integration"} {
		h.interruptAt(table, j)
		if n := h.number(`select (select count(*) from finding) + (select count(*) from exposure)`); n != 0 && table != "finding" {
			t.Errorf("at %s %d findings and counts of them are there", table, n)
		}
		if n := h.number(`select coalesce(sum(open_critical + open_high + open_medium + open_low + open_unknown), 0) from asset`); n != 0 && table != "finding" {
			t.Errorf("at %s assets still count %d findings", table, n)
		}
		h.mustAudit(h.tenant)
		if j = h.takeOver(); j.Attempt > 3 {
			t.Errorf("after %s it would be set aside, though it got on", table)
		}
	}
	if o := h.syncer.Handle(t.Context(), j); o.Ending != job.Done {
		t.Fatalf("the purge ended with %+v", o)
	}
	mustSucceed(t, h.run(i, j))
	h.mustBePurged(i)
}

// interruptAt carries out a job until it waits for a table, and stops it there.
func (h *house) interruptAt(table string, j job.Job) {
	h.t.Helper()
	db := h.owner()
	tx, err := db.Begin()
	must(h.t, err)
	_, err = tx.Exec(`lock table ` + table + ` in share mode`)
	must(h.t, err)
	ctx, die := context.WithCancelCause(h.t.Context())
	ended := make(chan job.Outcome, 1)
	go func() { ended <- h.syncer.Handle(ctx, j) }()
	for waits := false; !waits; {
		waits = h.number(`select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`) > 0
		if len(ended) > 0 {
			h.t.Fatalf("%s: it ended with %+v", table, <-ended)
		}
	}
	die(job.ErrStopping)
	if o := <-ended; o.Ending != job.HandBack {
		h.t.Errorf("%s: %+v", table, o)
	}
	must(h.t, errors.Join(tx.Rollback(), db.Close()))
}
