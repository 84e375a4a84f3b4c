package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/syncer"
)

// TestAWiderFilterThatIsTakenBackDuringAHold lets more machines in than are held back, and leaves them out again before a run has agreed:
// they leave at once, and neither the hold nor an approval of it begins anew.
func TestAWiderFilterThatIsTakenBackDuringAHold(t *testing.T) {
	t.Parallel()
	for name, approved := range map[string]int{"late": 0, "approved": 1, "approved before": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, first := widened(t)
			h.both(time.Minute)
			h.mustStillHold(i, h.again(i, syncer.Incremental), first, 10)
			if approved == 2 {
				h.approve(i, first)
			}
			h.set(i, oneGroup)
			h.both(time.Minute)
			run := h.again(i, syncer.Incremental)
			if approved < 2 {
				h.mustStillHold(i, run, first, 10)
				if s := run.Report.StageNamed(syncer.StageAssets); s.Held != 10 || s.Counts.OutOfScope != 28 || h.inScope(h.tenant) != 12 {
					t.Errorf("%d are in scope, %d left out, %d held: %s", h.inScope(h.tenant), s.Counts.OutOfScope, s.Held, run.Report.Summary)
				}
				if approved == 1 {
					h.approve(i, first)
				} else {
					h.both(6*time.Hour - 2*time.Minute)
				}
				run = h.again(i, syncer.Incremental)
			}
			mustSucceed(t, run)
			if n := assetCounts(t, run).Removed; n != 10 || len(h.held(i)) != 0 || h.inScope(h.tenant) != 2 {
				t.Errorf("%d removed, %d in scope, held %+v: %s", n, h.inScope(h.tenant), h.held(i), run.Report.Summary)
			}
			h.both(time.Minute)
			if again := h.again(i, syncer.Incremental); len(h.held(i)) != 0 || !again.Report.NoChanges {
				t.Errorf("afterwards: %s", again.Report.Summary)
			}
		})
	}
}
