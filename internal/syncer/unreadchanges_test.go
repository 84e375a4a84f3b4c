package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// TestAReadingOfChangesThatIsNotWholeEndsNothing has findings vanish and come back between two runs, the second of which can read only that they vanished.
func TestAReadingOfChangesThatIsNotWholeEndsNothing(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 8)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 400, Batch: 9}})
	bad := &spoiler{next: h.server.Config.Handler, spoils: func(record map[string]any) bool { return record["status"] != "Fixed" }}
	h.server.Config.Handler = bad
	h.readChangesAndCountMisses()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.both(20 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	source := h.machine(3)
	before := h.openOf([]string{source})
	for _, op := range []string{"remove_findings", "restore_findings"} {
		h.change(world.Change{Op: op, MachineID: source})
		h.both(7 * time.Hour)
	}
	bad.path = "/api/machines/SoftwareVulnerabilityChangesByMachine"
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.PartiallySucceeded, "")
	if c := findingCounts(t, run); !plan(run).Changes || c.Fixed != 0 || h.openOf([]string{source}) != before {
		t.Errorf("by %+v %d were fixed, %d are open of %d", plan(run), c.Fixed, h.openOf([]string{source}), before)
	}
	bad.path = ""
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}
