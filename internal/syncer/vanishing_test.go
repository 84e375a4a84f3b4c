package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestMissingMachinesOfALargeDirectoryAreGoneInFourDays runs daily where the machines are listed whole every third day. Some vanish
// just after a whole list, one just after that which missed those; whole lists do not follow each other for ever. What that one had is not fixed
// by its absence, nor by lists of some machines in between.
func TestMissingMachinesOfALargeDirectoryAreGoneInFourDays(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 8)
	h.readAsIfLarge()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	last := h.machine(3)
	findings := len(h.findingsOf(h.tenant, last))
	day := 24*time.Hour - 2*time.Second // runs do not begin to the second
	h.change(world.Change{Op: "remove_machines", From: 0, To: 3})
	for n, want := range []struct {
		whole            bool
		missing, removed int64
	}{
		1: {}, 2: {}, 3: {true, 3, 0}, 4: {true, 1, 3}, 5: {}, 6: {}, 7: {whole: true, removed: 1}, 8: {whole: true}, 9: {}, // on the eighth with the report, once a week
	} {
		if n == 0 {
			continue
		}
		if n == 4 {
			h.change(world.Change{Op: "remove_machines", From: 3, To: 4})
		}
		h.both(day)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		if s := run.Report.StageNamed(syncer.StageAssets); s.Partial == want.whole || s.Missing != want.missing || s.Counts.Removed != want.removed {
			t.Errorf("day %d: a list of some: %v, %d missing, %d removed; want %+v", n, s.Partial, s.Missing, s.Counts.Removed, want)
		}
		if n < 7 {
			h.mustAllBe(last, findings, inventory.FindingOpen, "")
		} else {
			h.mustAllBe(last, findings, inventory.FindingOutOfScope, "removed")
		}
	}
}
