package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// leave takes the first n plain machines out of the directory; back brings them back.
func leave(n int) world.Change { return world.Change{Op: "remove_machines", From: 0, To: n} }
func back(n int) world.Change  { return world.Change{Op: "restore_machines", From: 0, To: n} }

func (h *house) mustHold(run syncer.Run, before string) {
	h.t.Helper()
	mustSucceed(h.t, run)
	if !warned(run, fault.CodeRemovalHeld) {
		h.t.Errorf("nothing was held back: %s", run.Report.Summary)
	}
	if run.Report.NoChanges {
		h.t.Error("a run that held something back says that nothing changed")
	}
	if h.snapshot(run.Tenant) != before {
		h.t.Error("a held removal changed the inventory")
	}
}

func TestAnEmptyDirectoryIsBelievedTheSecondTime(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(12))
	h.mustHold(h.again(i, syncer.Incremental), before)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if c := assetCounts(t, run); c.Removed != 12 || warned(run, fault.CodeRemovalHeld) {
		t.Errorf("the second run removed %d machines, warnings %+v", c.Removed, run.Report.Warnings)
	}
	h.mustEqualTruth(h.tenant)
	if n := h.number(`select count(*) from finding where tenant_id = $1 and state = 2`, h.tenant); n != 0 {
		t.Errorf("%d findings of vanished machines count as fixed", n)
	}
	h.change(back(12))
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestMachinesThatReturnMakeTheGuardForget(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(7))
	h.mustHold(h.again(i, syncer.Incremental), before)
	h.change(back(7))
	if run := h.again(i, syncer.Incremental); !run.Report.NoChanges {
		t.Errorf("all machines are back: %s", run.Report.Summary)
	}
	// The next drop is the first one again.
	h.change(leave(7))
	h.mustHold(h.again(i, syncer.Incremental), before)
}

func TestADeeperDropIsNotWhatTheFirstRunSaw(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(7))
	h.mustHold(h.again(i, syncer.Incremental), before)
	h.change(leave(12))
	h.mustHold(h.again(i, syncer.Incremental), before)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestHalfOfTheMachinesMayLeaveAtOnce(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(6))
	run := h.again(i, syncer.Incremental)
	if c := assetCounts(t, run); c.Removed != 6 {
		t.Errorf("%d machines removed, warnings %+v", c.Removed, run.Report.Warnings)
	}
}

func TestVanishedRowsAreBelievedTheSecondTime(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	var changes []world.Change
	for n := range 12 {
		changes = append(changes, world.Change{Op: "remove_findings", Machine: ptr(n)})
	}
	h.change(changes...)
	h.mustHold(h.again(i, syncer.Incremental), before)
	for n := range 12 {
		h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
	}
	if run := h.again(i, syncer.Incremental); !run.Report.NoChanges {
		t.Errorf("all rows are back: %s", run.Report.Summary)
	}
	h.change(changes...)
	h.mustHold(h.again(i, syncer.Incremental), before)
	run := h.again(i, syncer.Incremental)
	if c := findingCounts(t, run); c.Fixed == 0 || warned(run, fault.CodeRemovalHeld) {
		t.Errorf("the second run fixed %d findings", c.Fixed)
	}
	h.mustEqualTruth(h.tenant)
}

func TestTheGuardAlsoWatchesCarriers(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, func(s *inventory.Settings) { s.ImportAssets = false })
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(12))
	h.mustHold(h.again(i, syncer.Incremental), before)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

// TestAReadThatBreaksOffRemovesNothing breaks every page of every list, one at a time, while the directory shrinks: a
// run that believed what it got would remove or close something.
func TestAReadThatBreaksOffRemovesNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	cfg := defender.Config{Pages: defender.Pages{Rows: 15, Batch: 3}, Retry: defender.RetryPolicy{Tries: 2}}
	h.wire(cfg)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(2), world.Change{Op: "remove_findings", Machine: ptr(5)})
	before, since := h.snapshot(h.tenant), h.integration(i).LastSuccessAt

	breaks := []defendersim.Fault{
		{Route: "token", Status: 503},
		{Route: "machines", Status: 503},
		{Route: "machines", Body: "garbage"},
		{Route: "machines", ResetAfter: 900},
		{Route: "machines", TruncateAfter: 900},
		{Route: "vulnerabilities", Status: 500},
		{Route: "vulnerabilities", ResetAfter: 60},
	}
	rows := h.pages(i, "software_vulnerabilities")
	if rows < 3 {
		t.Fatalf("%d pages of rows do not make a test", rows)
	}
	for page := range rows {
		f := defendersim.Fault{Route: "software_vulnerabilities", After: page, Status: 502}
		if page%2 == 1 {
			f.Status, f.ResetAfter = 0, 200
		}
		breaks = append(breaks, f)
	}
	broken := 0
	for _, f := range breaks {
		t.Run(fmt.Sprintf("%s %d after %d", f.Route, max(f.Status, f.ResetAfter), f.After), func(t *testing.T) {
			h.wire(cfg) // with no page kept of the run before
			h.fault(f)
			defer h.sim.ClearFaults()
			run := h.again(i, syncer.Incremental)
			h.mustHaveBroken(t, run, f.Route)
			broken++
			if now := h.integration(i); !now.LastSuccessAt.Equal(since) || now.State != connector.StateDegraded || now.StateReason != run.Report.Error.Code {
				t.Errorf("last success %v, want %v; state %s %q", now.LastSuccessAt, since, now.State, now.StateReason)
			}
			if f.Route == "token" || f.Route == "machines" {
				if h.snapshot(h.tenant) != before {
					t.Error("the inventory changed")
				}
			} else if n := h.number(`select count(*) from finding where tenant_id = $1 and state = 2`, h.tenant); n != 0 {
				t.Errorf("%d findings count as fixed", n)
			}
		})
	}
	h.t = t
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	h.mustEqualTruth(h.tenant)
	if now := h.integration(i); now.State != connector.StateActive || !now.LastSuccessAt.After(since) {
		t.Errorf("healed: %s, last success %v", now.State, now.LastSuccessAt)
	}
}

// pages is how many pages of a route the integration's next run reads, found out by running a second tenant.
func (h *house) pages(_ connector.Integration, route string) int {
	h.t.Helper()
	other := h.newTenant("Scout", true)
	h.connect(other, nil)
	h.sim.ClearJournal()
	mustSucceed(h.t, h.work())
	n := 0
	for _, e := range h.sim.Journal(0) {
		if e.Route == route {
			n++
		}
	}
	return n
}

func (h *house) mustHaveBroken(t *testing.T, run syncer.Run, route string) {
	t.Helper()
	if run.Report.Error == nil {
		t.Fatalf("the run ended %s without an error", run.State)
	}
	want := syncer.Failed
	if route == "vulnerabilities" || route == "software_vulnerabilities" {
		want = syncer.PartiallySucceeded
	}
	mustEnd(t, run, want, run.Report.Error.Code)
	switch run.Report.Error.Code {
	case fault.CodeUpstreamUnavailable, fault.CodeUpstreamUnexpected, fault.CodeUpstreamTimeout:
	default:
		t.Errorf("code %s is none of an outage", run.Report.Error.Code)
	}
	if c := run.Report.Totals(); c.Fixed != 0 || (want == syncer.Failed && c.Changes() != 0) {
		t.Errorf("counts of a broken run: %+v", c)
	}
}

// TestTheSecondPageOfMachinesCounts needs more machines than one page of the list holds, which is 10,000.
func TestTheSecondPageOfMachinesCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10_020, 0)
	i := h.connect(h.tenant, func(s *inventory.Settings) { s.ImportVulnerabilities = false })
	mustSucceed(t, h.work())
	h.fault(defendersim.Fault{Route: "machines", After: 1, Status: 503})
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.Failed, fault.CodeUpstreamUnavailable)
	if n := h.inScope(h.tenant); n != 10_020 {
		t.Errorf("%d assets in scope after a broken second page", n)
	}
}

func (h *house) inScope(t tenant.ID) int64 {
	return h.number(`select count(*) from asset where tenant_id = $1 and state in ('active', 'inactive')`, t)
}

func TestRetriesWaitLongerAfterEachFailure(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 5, 3)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.fault(defendersim.Fault{Route: "machines", Status: 503})
	var waits []time.Duration
	for range 3 {
		mustEnd(t, h.again(i, syncer.Incremental), syncer.Failed, fault.CodeUpstreamUnavailable)
		waits = append(waits, h.integration(i).NextRunAt.Sub(h.now))
		h.sql(`update integration set next_run_at = now() + interval '1 day'`)
	}
	for n, want := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute} {
		if got := waits[n].Round(time.Second); got > want || got < want-want/4 {
			t.Errorf("retry %d after %v, want %v or up to a quarter less", n+1, got, want)
		}
	}
	h.sim.ClearFaults()
	mustSucceed(t, h.again(i, syncer.Incremental))
	if n := h.number(`select failures from integration`); n != 0 || h.integration(i).State != connector.StateActive {
		t.Errorf("after healing: %d failures in a row, state %s", n, h.integration(i).State)
	}
}
