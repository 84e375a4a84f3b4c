package syncer_test

import (
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestWhatIsAskedForDuringARunComesNext approves of what is held back, or changes the settings, while a run works that the scheduler leaves
// the day's work to. A success after failures, which brings the usual schedule back, does not put it off.
func TestWhatIsAskedForDuringARunComesNext(t *testing.T) {
	t.Parallel()
	for name, ask := range map[string]func(*house, connector.Integration, syncer.Run){
		"approval": func(h *house, i connector.Integration, first syncer.Run) { h.approve(i, first) },
		"settings": func(h *house, i connector.Integration, _ syncer.Run) {
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
		},
	} {
		for _, failures := range []int{0, 2} {
			t.Run(fmt.Sprint(name, " after ", failures), func(t *testing.T) {
				t.Parallel()
				h, i, first := usualRemoval(t)
				h.sql(fmt.Sprintf(`update integration set failures = %d, state = 'degraded'`, failures))
				h.askMeanwhile(i, func() { ask(h, i, first) })
				if next := h.integration(i).NextRunAt; next.After(h.now) {
					t.Errorf("the next run comes in %v", next.Sub(h.now))
				}
				mustSucceed(t, h.due())
			})
		}
	}
}

// askMeanwhile has somebody ask for something while a run reads the report, and the scheduler look at it.
func (h *house) askMeanwhile(i connector.Integration, ask func()) {
	h.t.Helper()
	r := h.holdAgainAt(i, "software_vulnerabilities")
	ask()
	if n, err := h.store.ScheduleDue(h.t.Context(), h.now.Add(time.Millisecond)); n != 0 || err != nil {
		h.t.Fatalf("%d runs were queued, %v", n, err)
	}
	if next := h.integration(i).NextRunAt; next.Before(h.now.Add(time.Hour)) {
		h.t.Fatalf("the scheduler left the next run at %v", next)
	}
	if err := h.store.Finish(h.t.Context(), r.job, r.release()); err != nil {
		h.t.Fatal(err)
	}
	mustSucceed(h.t, h.run(i, r.job))
}

// TestAnApprovalHurriesNoRunThatFails has the run fail that knew of the approval: the next one waits as behind any failure.
func TestAnApprovalHurriesNoRunThatFails(t *testing.T) {
	t.Parallel()
	h, i, first := usualRemoval(t)
	h.approve(i, first)
	h.fault(defendersim.Fault{Route: "machines", Status: 503})
	mustEnd(t, h.due(), syncer.Failed, fault.CodeUpstreamUnavailable)
	if next := h.integration(i).NextRunAt; next.Before(h.now.Add(3 * time.Minute)) {
		t.Errorf("the next run comes in %v", next.Sub(h.now))
	}
	h.sim.ClearFaults()
	h.now = h.integration(i).NextRunAt
	run := h.due()
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 10 {
		t.Errorf("%d removed: %s", n, run.Report.Summary)
	}
}

// TestWhatIsAskedForWaitsAsLongAsMicrosoftAsks has the settings change during a run that Microsoft then asks to wait.
func TestWhatIsAskedForWaitsAsLongAsMicrosoftAsks(t *testing.T) {
	t.Parallel()
	h, i, r := secondRunHeldAt(t, "machines")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 503, RetryAfter: "7200"})
	if err := h.store.Finish(t.Context(), r.job, r.release()); err != nil {
		t.Fatal(err)
	}
	mustEnd(t, h.run(i, r.job), syncer.PartiallySucceeded, fault.CodeUpstreamUnavailable)
	if wait := dueAt(h.integration(i)).Sub(h.now); wait < 2*time.Hour-time.Second || wait > 2*time.Hour+time.Minute {
		t.Errorf("the next run comes in %v, though Microsoft asked for two hours", wait)
	}
}
