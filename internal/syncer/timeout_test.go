package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/syncer"
)

// linger makes a statement on a table take longer than the house's store lets one, until the way back is called.
func (h *house) linger(event, table string) (back func()) {
	h.t.Helper()
	usual, o := h.store, postgres.ForWork()
	o.StatementTimeout = 2 * time.Second
	h.store = postgrestest.Open(h.t, h.url, o)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	h.sql(`create function linger() returns trigger language plpgsql as $$ begin perform pg_sleep(60); return null; end $$`)
	h.sql(`create trigger linger before ` + event + ` on ` + table + ` for each statement execute function linger()`)
	return func() {
		h.sql(`drop function linger() cascade`)
		h.store = usual
		h.readCatalogue(syncer.DefaultCataloguePolicy())
	}
}

// mustCost holds that an attempt at the only job counted, and makes the next one due.
func (h *house) mustCost(attempt int64, o job.Outcome) {
	h.t.Helper()
	if o.Ending != job.Retry || o.Code != fault.CodeDatabaseTimeout || o.After <= 0 {
		h.t.Errorf("attempt %d ended with %+v", attempt, o)
	}
	if n := h.number(`select count(*) from job where state = 'queued' and attempt = $1 and last_error = $2`, attempt, fault.CodeDatabaseTimeout); n != 1 {
		h.t.Errorf("attempt %d did not cost one", attempt)
	}
	h.sql(`update job set run_at = now()`)
}

// TestARunWhoseStatementTakesTooLongFailsAtLast lets a statement take too long in each attempt.
func TestARunWhoseStatementTakesTooLongFailsAtLast(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	back := h.linger("insert", "asset")
	for attempt := int64(1); attempt <= 3; attempt++ {
		j := h.claim()
		j.Last = attempt == 3
		o := h.syncer.Handle(t.Context(), j)
		must(t, h.store.Finish(t.Context(), j, o))
		if attempt < 3 {
			h.mustCost(attempt, o)
			if run := h.run(i, j); run.State != syncer.Queued {
				t.Errorf("after attempt %d the run is %s", attempt, run.State)
			}
			continue
		}
		run := h.run(i, j)
		if mustEnd(t, run, syncer.Failed, fault.CodeDatabaseTimeout); o.Ending != job.Done || run.Report.Error.Acts != fault.Operator || run.Report.Error.Permanent {
			t.Errorf("the last attempt ended with %+v, the run with %+v", o, run.Report.Error)
		}
	}
	if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeDatabaseTimeout || now.NextRunAt.Before(h.now.Add(3*time.Minute)) {
		t.Errorf("the integration is %s %q, next run %v", now.State, now.StateReason, now.NextRunAt)
	}
	back()
	mustSucceed(t, h.again(i, syncer.Full))
	h.mustEqualTruth(h.tenant)
}

// TestAPurgeThatGotOnIsNotAtItsEnd breaks a purge off in what would be its last attempt, had it not dropped the findings before.
func TestAPurgeThatGotOnIsNotAtItsEnd(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	if _, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true); err != nil {
		t.Fatal(err)
	}
	back := h.linger("delete", "asset")
	h.sql(`update job set attempt = 2`)
	j := h.claim()
	j.Last = true
	must(t, h.store.Finish(t.Context(), j, h.syncer.Handle(t.Context(), j)))
	if n := h.number(`select count(*) from job where state = 'queued' and attempt = 1`); n != 1 {
		t.Error("the purge does not go on")
	}
	back()
	h.sql(`update job set run_at = now()`)
	mustSucceed(t, h.work())
}

// TestAPurgeThatDoesNotGetOnSaysWhy breaks it off in each attempt, with findings that are not dropped as a whole.
func TestAPurgeThatDoesNotGetOnSaysWhy(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 4, 2)
	i := h.connect(h.tenant, func(s *inventory.Settings) { s.ImportVulnerabilities = false })
	mustSucceed(t, h.work())
	_, err := h.links.Disconnect(t.Context(), h.tenant, i.PublicID, 0, true)
	must(t, err)
	h.linger("delete", "asset")
	for attempt := int64(1); attempt <= 3; attempt++ {
		j := h.claim()
		j.Last = attempt == 3
		o := h.syncer.Handle(t.Context(), j)
		must(t, h.store.Finish(t.Context(), j, o))
		h.mustCost(attempt, o)
	}
	must(t, h.syncer.Abandon(t.Context(), h.claim()))
	mustEnd(t, h.latest(i), syncer.Failed, fault.CodeDatabaseTimeout)
}

// TestADeletionWhoseStatementTakesTooLongCostsAttempts does the same to the end of a tenant.
func TestADeletionWhoseStatementTakesTooLongCostsAttempts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 2)
	back := h.linger("delete", "exposure")
	_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
	must(t, err)
	for attempt := int64(1); attempt <= 2; attempt++ {
		j := h.claim()
		o := h.offboarder(t.TempDir()).Handle(t.Context(), j)
		must(t, h.store.Finish(t.Context(), j, o))
		h.mustCost(attempt, o)
	}
	back()
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), h.claim()); o.Ending != job.Gone {
		t.Errorf("the deletion ended with %+v", o)
	}
}
