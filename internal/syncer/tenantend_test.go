package syncer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// TestADeletedTenantLeavesItsTrailAndNothingElse deletes one of two tenants, once from a partition of its own and once from those that
// tenants share.
func TestADeletedTenantLeavesItsTrailAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, apart := range []bool{true, false} {
		t.Run(fmt.Sprint("apart ", apart), func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			h := newHouseOf(t, seeded(directory, "contoso.example", 77))
			h.addDirectory(seeded(twin, "fabrikam.example", 77))
			other := h.newTenant("Fabrikam", true)
			stays := h.occupy(other, twin)
			i := h.occupy(h.tenant, directory)
			if _, err := h.store.Place(ctx, h.tenant, apart); err != nil {
				t.Fatal(err)
			}
			others, gone := h.snapshot(other), h.tenantOf(h.tenant)
			rows, _ := h.rowsOf(h.tenant)
			_, theirTrail := h.rowsOf(other)
			for table, n := range rows {
				if n == 0 && table != "finding_shared" && !isLeaf(table) && table != "reconciliation" {
					t.Errorf("%s has no row that could be left behind", table)
				}
			}
			_, err := h.store.DeleteTenant(ctx, h.tenant, 0)
			must(t, err)
			h.mustBeShredded(i)
			j := h.claim()
			if o := h.offboarder(t.TempDir()).Handle(ctx, j); o.Ending != job.Gone {
				t.Fatalf("the deletion ended with %v", o.Ending)
			}
			left, trail := h.rowsOf(h.tenant)
			for table, n := range left {
				if n != 0 {
					t.Errorf("%s: %d rows are left", table, n)
				}
			}
			if n := h.number(`select count(*) from pg_class where relname = $1`, fmt.Sprintf("finding_t%d", h.tenant)); n != 0 || trail < 5 {
				t.Errorf("%d partitions are left, and %d rows of the trail", n, trail)
			}
			h.mustProve(gone, rows)
			if _, err := h.store.TenantByPublicID(ctx, gone.PublicID); !fault.Is(err, fault.CodeNotFound) {
				t.Errorf("found: %v", err)
			}
			if _, err := h.store.DeleteTenant(ctx, h.tenant, 0); !fault.Is(err, fault.CodeNotFound) {
				t.Errorf("deleted again: %v", err)
			}
			if _, now := h.rowsOf(other); h.snapshot(other) != others || now != theirTrail {
				t.Error("the other tenant lost or got something")
			}
			h.mustAudit(other)
			mustSucceed(t, h.again(stays, syncer.Full))
			h.mustMissTheTrail(gone.ID)
		})
	}
}

// TestTablesOfTheOperatorStopNoDeletion keeps two more tables in the schema: one that the service may not read, and one that it may,
// whose tenants are spelt otherwise.
func TestTablesOfTheOperatorStopNoDeletion(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 2, 2)
	h.sql(`create table bill (tenant_id integer)`)
	h.sql(`insert into bill values ($1)`, h.tenant)
	h.sql(`create table contract (tenant_id uuid)`)
	h.sql(`insert into contract values (gen_random_uuid())`)
	h.sql(`grant select on contract to defender_app`)
	_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
	must(t, err)
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), h.claim()); o.Ending != job.Gone {
		t.Errorf("the deletion ended with %v", o.Ending)
	}
	if n := h.number(`select (select count(*) from bill) + (select count(*) from contract)`); n != 2 {
		t.Errorf("%d rows of the operator are left, want 2", n)
	}
}

// TestADeletionGoesOnWhereItWasInterrupted lets the process die at every table, by a lock that somebody else holds on it.
func TestADeletionGoesOnWhereItWasInterrupted(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	h.occupy(h.tenant, directory)
	gone := h.tenantOf(h.tenant)
	rows, _ := h.rowsOf(h.tenant)
	_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
	must(t, err)
	j := h.claim()
	order := []string{ // in which they are emptied, so that each time something is gone already
		"finding", "finding_event", "asset_word", "installation", "exposure", "exposure_tally", "remediation", "location", "run_skipped", "reconciliation",
		"asset", "asset_tally", "run", "integration", "idempotency", "api_key", "tenant_key", "entitlement", "job", "tenant",
	}
	for table := range rows {
		if !isLeaf(table) && !slices.Contains(order, table) {
			t.Errorf("nothing is interrupted at %s", table)
		}
	}
	for _, table := range order {
		db := h.owner()
		tx, err := db.Begin()
		must(t, err)
		_, err = tx.Exec(`lock table ` + table + ` in share mode`)
		must(t, err)
		ctx, die := context.WithCancelCause(t.Context())
		ended := make(chan job.Outcome, 1)
		go func() { ended <- h.offboarder(t.TempDir()).Handle(ctx, j) }()
		for waits := false; !waits; {
			waits = h.number(`select count(*) from pg_locks where not granted and database = (select oid from pg_database where datname = current_database())`) > 0
			if len(ended) > 0 {
				t.Fatalf("%s: it ended with %+v", table, <-ended)
			}
		}
		die(job.ErrStopping)
		if o := <-ended; o.Ending != job.HandBack {
			t.Errorf("%s: %+v", table, o)
		}
		must(t, errors.Join(tx.Rollback(), db.Close()))
		if j = h.takeOver(); j.Attempt > 3 && table != "job" && table != "tenant" { // without these two it cannot get on
			t.Errorf("after %s it would be set aside, though it got on", table)
		}
	}
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), j); o.Ending != job.Gone {
		t.Fatalf("the deletion ended with %+v", o)
	}
	left, _ := h.rowsOf(h.tenant)
	for table, n := range left {
		if n != 0 {
			t.Errorf("%s: %d rows are left", table, n)
		}
	}
	h.mustProve(gone, rows)
}

// TestADeletionEndsTheRunInProgress deletes a tenant whose worker waits for Microsoft, and whose pages are kept on disk.
func TestADeletionEndsTheRunInProgress(t *testing.T) {
	t.Parallel()
	for _, route := range []string{"machines", "software_vulnerabilities"} {
		t.Run(route, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 8, 5)
			spool := t.TempDir()
			h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: spool}, h.logger(), silence{}, h.clock)
			h.connect(h.tenant, nil)
			r := h.holdAt(route)
			_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
			must(t, err)
			deletion := h.claim()
			if o := h.offboarder(spool).Handle(t.Context(), deletion); o.Ending != job.Snooze {
				t.Errorf("while the run uses its pages the deletion ended with %v", o.Ending)
			}
			if o := r.release(); o.Ending != job.HandBack {
				t.Errorf("the run ended with %v", o.Ending)
			}
			if kept, err := filepath.Glob(filepath.Join(spool, "defenderd-pages-*")); err != nil || len(kept) != 1 {
				t.Errorf("the pages of the run: %v, %v", kept, err)
			}
			if o := h.offboarder(spool).Handle(t.Context(), deletion); o.Ending != job.Gone {
				t.Fatalf("the deletion ended with %v", o.Ending)
			}
			if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
				t.Errorf("left on disk: %v, %v", left, err)
			}
			rows, _ := h.rowsOf(h.tenant)
			for table, n := range rows {
				if n != 0 {
					t.Errorf("%s: %d rows are left", table, n)
				}
			}
		})
	}
}

// TestADeletionThatWasSetAsideIsQueuedAgain looks at the queue before, within and after the hour.
func TestADeletionThatWasSetAsideIsQueuedAgain(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	h.connect(h.tenant, nil)
	_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
	must(t, err)
	queued := func(later time.Duration) int {
		t.Helper()
		n, err := h.store.ScheduleDue(t.Context(), time.Now().Add(later))
		must(t, err)
		return n
	}
	if n := queued(48 * time.Hour); n != 0 {
		t.Errorf("%d queued beside the one that waits", n)
	}
	j := h.claim()
	must(t, h.offboarder(t.TempDir()).Abandon(t.Context(), j))
	must(t, h.store.Bury(t.Context(), j))
	if soon, later, again := queued(time.Minute), queued(61*time.Minute), queued(62*time.Minute); soon != 0 || later != 1 || again != 0 {
		t.Errorf("queued again: %d soon, %d an hour later, %d after that", soon, later, again)
	}
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), h.claim()); o.Ending != job.Gone {
		t.Errorf("the deletion ended with %v", o.Ending)
	}
}

// TestADeletionDoesNotEndWhileATableHasRows adds a table that the deletion does not know of, behind the wall as all of the product are.
func TestADeletionDoesNotEndWhileATableHasRows(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 3, 2)
	h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`create table novelty (tenant_id int not null); grant select on novelty to defender_app;
		alter table novelty enable row level security, force row level security;
		create policy tenant_wall on novelty using (tenant_id = app_tenant())`)
	h.sql(`insert into novelty values ($1)`, h.tenant)
	_, err := h.store.DeleteTenant(t.Context(), h.tenant, 0)
	must(t, err)
	j := h.claim()
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), j); o.Ending != job.Retry || h.number(`select count(*) from tenant`) != 1 {
		t.Errorf("with a row in a new table the deletion ended with %+v", o)
	}
	h.sql(`delete from novelty`)
	if o := h.offboarder(t.TempDir()).Handle(t.Context(), j); o.Ending != job.Gone {
		t.Errorf("without it, with %+v", o)
	}
}
