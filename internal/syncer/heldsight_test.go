package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// sights take one machine out of sight, and bring it back.
var sights = map[string][2]func(n int) world.Change{
	"missing": {
		func(n int) world.Change { return world.Change{Op: "remove_machines", From: n, To: n + 1} },
		func(n int) world.Change { return world.Change{Op: "restore_machines", From: n, To: n + 1} },
	},
	"stale": {
		func(n int) world.Change {
			return world.Change{Op: "touch_machine", Machine: ptr(n), LastSeenDaysAgo: 45}
		},
		func(n int) world.Change { return world.Change{Op: "touch_machine", Machine: ptr(n)} },
	},
}

// mustHoldStill runs and demands that a drop is held back and that nothing is fixed.
func (h *house) mustHoldStill(i connector.Integration, when string) {
	h.t.Helper()
	h.both(time.Minute)
	run := h.asTold(i)
	s := run.Report.StageNamed(syncer.StageVulnerabilities)
	if held := h.held(i); len(held) != 1 || held[0].Kind != syncer.HeldFindings || s.Counts.Fixed != 0 {
		h.t.Errorf("%s: %d fixed, held: %+v", when, s.Counts.Fixed, held)
	}
}

// TestWhatComesIntoSightHidesNothingOfAHold has machines that were out of sight before a drop come back during its hold, while most of the
// machines with the drop go out of sight.
func TestWhatComesIntoSightHidesNothingOfAHold(t *testing.T) {
	t.Parallel()
	for name, turn := range sights {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids := patientHouse(t, 20, 8)
			away, home := turn[0], turn[1]
			h.turn(away, 14, 20)
			mustSucceed(t, h.again(i, syncer.Incremental))
			_, cleared := h.clearHalf(h.openOf(ids[:14]), ids)
			all := h.openOf(ids)
			h.mustHoldStill(i, "with the drop")
			h.turn(home, 14, 20)
			h.turn(away, 0, cleared-1)
			h.mustHoldStill(i, "with others in sight")
			h.turn(home, 0, cleared-1)
			h.mustHoldStill(i, "with all in sight")
			if n := h.openOf(ids); n != all {
				t.Errorf("%d are open, were %d", n, all)
			}
			mustLetGo(h, i)
		})
	}
}

// TestAHoldEndsWithItsDropWhateverWasRemovedMeanwhile has machines that were missing before a drop be removed during its hold. Once the
// findings that were held back are there again, one machine that is patched waits for nothing.
func TestAHoldEndsWithItsDropWhateverWasRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 8)
	h.change(world.Change{Op: "remove_machines", From: 11, To: 20})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.both(5 * time.Hour)
	_, cleared := h.clearHalf(h.openOf(ids[:11]), ids)
	h.mustHoldStill(i, "with the drop")
	h.both(3 * time.Hour)
	h.mustHoldStill(i, "with the removal")
	if a := h.asset(h.tenant, ids[11]); a.State != inventory.AssetRemoved {
		t.Fatalf("the missing asset is %s", a.State)
	}
	for n := range cleared {
		h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
	}
	h.asTold(i)
	if held := h.held(i); len(held) != 0 {
		t.Fatalf("held when all is there again: %+v", held)
	}
	h.clear(0, 1)
	h.asTold(i)
	if held := h.held(i); len(held) != 0 {
		t.Errorf("held with one machine that was patched: %+v", held)
	}
	h.mustEqualTruth(h.tenant)
}
