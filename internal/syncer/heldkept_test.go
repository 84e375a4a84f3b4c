package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// TestWhatWasMissingAllAlongIsNoPartOfAHold switches the import of vulnerabilities off and on, before a drop is met or while it is held back, with many
// assets missing since before both: once the findings that were held back are there again the hold is over, and a few that went are gone.
func TestWhatWasMissingAllAlongIsNoPartOfAHold(t *testing.T) {
	t.Parallel()
	for name, early := range map[string]bool{"before the hold": true, "during the hold": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids := patientHouse(t, 20, 8)
			change := func(op string, machines ...string) {
				for _, source := range machines {
					h.change(world.Change{Op: op, MachineID: source})
				}
			}
			off := func() {
				h.set(i, noVulnerabilities)
				mustSucceed(t, h.again(i, syncer.Incremental))
			}
			h.change(leave(9))
			mustSucceed(t, h.again(i, syncer.Incremental))
			before := h.openOf(ids[9:])
			if early {
				off()
			}
			change("remove_findings", ids[9:18]...)
			h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = true })
			h.asTold(i)
			if held := h.held(i); len(held) != 1 || held[0].Before != before {
				t.Fatalf("held: %+v", held)
			}
			if !early {
				off()
			}
			change("restore_findings", ids[9:18]...)
			few := len(h.truthOf(ids[19]))
			change("remove_findings", ids[19])
			h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = true })
			h.asTold(i)
			h.mustAllBe(ids[19], few, inventory.FindingFixed, "")
			if held := h.held(i); len(held) != 0 {
				t.Errorf("held: %+v", held)
			}
			h.mustFollow(ids[:19], inventory.SeverityUnknown, "")
		})
	}
}

// TestWhatIsHeldBackIsNotUnchanged meets a drop of findings by each way of reading.
func TestWhatIsHeldBackIsNotUnchanged(t *testing.T) {
	t.Parallel()
	for way, large := range map[string]bool{"whole report": false, "changes": true} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			h, i, _, listed := withAbsent(t, large, 2)
			before, gone := h.openOf(listed), int64(0)
			for _, source := range listed[3:] {
				gone += int64(len(h.truthOf(source)))
				h.change(world.Change{Op: "remove_findings", MachineID: source})
			}
			run := h.asTold(i)
			s := run.Report.StageNamed(syncer.StageVulnerabilities)
			if plan(run).Changes != large || s.Held != gone || s.Counts.Unchanged != before-gone {
				t.Errorf("by %+v: %d held and %d unchanged, want %d and %d", plan(run), s.Held, s.Counts.Unchanged, gone, before-gone)
			}
		})
	}
}
