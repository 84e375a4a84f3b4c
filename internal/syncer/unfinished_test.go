package syncer_test

import (
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestWhatCouldNotBeReadIsReadSoon leaves runs unfinished: some early ones follow each other, then it is the schedule's turn, until one
// reads everything. What an incomplete report holds is compared with nothing.
func TestWhatCouldNotBeReadIsReadSoon(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.sql(`update reconciliation set taken_at = taken_at - interval '1 month'`) // due again
	compared := func() int64 {
		return h.number(`select (extract(epoch from taken_at) * 1e6)::bigint from reconciliation where tenant_id = $1`, h.tenant)
	}
	before := compared()
	h.change(world.Change{Op: "remove_findings", Machine: ptr(8)})
	bad.path = "/api/machines/SoftwareVulnerabilitiesByMachine"
	wait := 5 * time.Minute
	for attempt := range 6 {
		h.sql(`update integration set next_run_at = now() + interval '23 hours', wait_until = now() + interval '2 hours'`) // as the schedule does when it begins a run
		run := h.again(i, syncer.Incremental)
		if run.State != syncer.PartiallySucceeded || !strings.Contains(run.Report.Summary, "Not everything could be read") {
			t.Fatalf("the run ended %s: %s", run.State, run.Report.Summary)
		}
		next := time.Until(dueAt(h.integration(i))) // Microsoft has answered to the end
		if early := attempt < 4; early != (next <= wait) {
			t.Errorf("after %d unfinished runs the next one comes in %v", attempt+1, next)
		} else if early != strings.Contains(run.Report.Summary, "The next run is due on") || early == strings.Contains(run.Report.Summary, "The next run of the schedule") {
			t.Errorf("after %d unfinished runs it says %s", attempt+1, run.Report.Summary)
		}
		wait *= 2
	}
	if compared() != before {
		t.Error("an incomplete report was compared with Defender's totals")
	}
	bad.path = ""
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	if compared() == before {
		t.Error("a complete report was not compared")
	}
	if next := time.Until(h.integration(i).NextRunAt); next < 20*time.Hour || h.integration(i).StateReason == fault.CodeUnreadable {
		t.Errorf("after a complete run the next one comes in %v, %s", next, h.integration(i).StateReason)
	}
}
