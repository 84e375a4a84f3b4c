//go:build scale

package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// newLargeHouse has 100,000 machines, which are large enough, however few are chosen, for changes to be read between whole readings.
func newLargeHouse(t *testing.T) (h *house, machines int) {
	t.Helper()
	machines = number("STEADY_MACHINES", 100_000)
	h = newHouseOf(t, plain(spec(directory, machines, number("STEADY_FINDINGS", 8))))
	h.wire(defender.Config{})
	p := syncer.DefaultReportPolicy()
	p.WholeRows, p.WholeMachines = min(p.WholeRows, int64(machines)), min(p.WholeMachines, int64(machines/2))
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: p, Removal: syncer.DefaultRemovalPolicy()}, h.logger(), silence{}, h.clock)
	return h, machines
}

// TestScaleOfASteadyDay imports 100,000 machines, all of which report a day later, and then nothing else has changed. The run
// between two whole lists reads each machine once, a page for 10,000, and what changed in the report, which is nothing; it writes
// when each was seen, and nothing else.
func TestScaleOfASteadyDay(t *testing.T) {
	h, machines := newLargeHouse(t)
	var report []world.Change
	for n := range machines {
		report = append(report, world.Change{Op: "touch_machine", Machine: ptr(n)})
	}
	h.change(report...)
	i := h.connect(h.tenant, nil)
	mark := h.transaction()
	mustSucceed(t, h.work())
	all := h.writtenSince(mark)
	h.both(24 * time.Hour)
	mark = h.transaction()
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	calls := int64(0)
	for _, s := range run.Report.Stages {
		calls += s.Calls
	}
	written, seen := h.writtenSince(mark), h.number(`select count(*) from asset where tenant_id = $1 and last_seen_at > $2`, h.tenant, h.now.Add(-24*time.Hour))
	t.Logf("%d calls; %d rows written, %.1f %% of the first run's %d; %s", calls, written, 100*float64(written)/float64(all), all, run.Report.Summary)
	if pages := int64(machines+9_999) / 10_000; calls > pages+2 || !plan(run).Changes || !run.Report.NoChanges {
		t.Errorf("%d calls for %d pages of machines, read %+v: %s", calls, pages, plan(run), run.Report.Summary)
	}
	if n := int64(machines); written > n || seen != n {
		t.Errorf("%d rows were written, and %d of %d machines seen", written, seen, n)
	}
}
