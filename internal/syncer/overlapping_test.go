package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// transaction is a mark in the database's own count of transactions.
func (h *house) transaction() int64 { return h.number(`select txid_current()`) }

// writtenSince counts the rows of the inventory that were written since a mark.
func (h *house) writtenSince(mark int64) (n int64) {
	h.t.Helper()
	for _, table := range []string{"asset", "asset_word", "finding", "exposure", "installation", "location", "remediation", "vulnerability", "software"} {
		n += h.number(`select count(*) from ` + table + ` where xmin::text::bigint >= ` + fmt.Sprint(mark))
	}
	return n
}

// mustChangeNothing runs, by changes or whole, while the directory is as it was: nothing may be told or written, whichever it is.
func (h *house) mustChangeNothing(run func() syncer.Run, changes bool) {
	h.t.Helper()
	before, mark := h.snapshot(h.tenant), h.transaction()
	done := run()
	mustSucceed(h.t, done)
	if plan(done).Changes != changes || changes && findingCounts(h.t, done).Fetched == 0 {
		h.t.Fatalf("read %+v, %d rows", plan(done), findingCounts(h.t, done).Fetched)
	}
	if !done.Report.NoChanges {
		h.t.Errorf("changes %v: %s", changes, done.Report.Summary)
	}
	if n := h.writtenSince(mark); n != 0 || h.snapshot(h.tenant) != before {
		h.t.Errorf("changes %v: %d rows were written", changes, n)
	}
}

// TestASwitchBetweenReadingsChangesNothing reads a directory by turns, once its rows have changed: readings of changes overlap, so
// that the same ones come again, and lack what the whole report alone tells.
func TestASwitchBetweenReadingsChangesNothing(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(testing.TB, int, int) *house{"plain": newPlainHouse, "edge cases": newHouse} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := build(t, 30, 12)
			h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
			h.readChanges()
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			if n := h.number(`select count(*) from remediation where tenant_id = $1 and update_ready and update_text = ''`, h.tenant); n == 0 {
				t.Fatal("no update is there without being named")
			}
			ready := h.number(`select count(*) from remediation where tenant_id = $1 and update_ready is not null`, h.tenant)
			h.both(2 * time.Hour)
			for n := range 6 {
				h.change(world.Change{Op: "remove_findings", Machine: ptr(n)})
			}
			mustSucceed(t, h.again(i, syncer.Incremental))
			for n := range 6 {
				h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
			}
			mustSucceed(t, h.again(i, syncer.Incremental))
			if n := h.number(`select count(*) from remediation where tenant_id = $1 and update_ready is not null`, h.tenant); n != ready {
				t.Errorf("of %d recommendations is known whether there is an update, of %d it was", n, ready)
			}
			mustSucceed(t, h.again(i, syncer.Full)) // the sums are made anew
			for range 2 {
				h.mustChangeNothing(func() syncer.Run { return h.again(i, syncer.Incremental) }, true)
				h.mustChangeNothing(func() syncer.Run { return h.again(i, syncer.Full) }, false)
			}
			h.mustAudit(h.tenant)
		})
	}
}
