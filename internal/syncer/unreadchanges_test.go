package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
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

// TestADropInAPartialReadingWaitsWithAHold has Microsoft rate all that a hold leaves as low, and a run meet that which cannot read all rows.
func TestADropInAPartialReadingWaitsWithAHold(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 8)
	catalogue := syncer.DefaultCataloguePolicy()
	catalogue.MaxAge = 0
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Catalogue: catalogue}, h.logger(), silence{}, h.clock)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityMedium })
	mustSucceed(t, h.again(i, syncer.Incremental))
	all := h.openOf(ids)
	var left []string
	for _, source := range ids { // each machine has some of the drop, and of what is left
		var gone []string
		for n, f := range h.truthOf(source) {
			if n%3 == 0 {
				left = append(left, f.CVE)
			} else {
				gone = append(gone, f.CVE)
			}
		}
		h.change(world.Change{Op: "remove_findings", MachineID: source, CVEs: gone})
	}
	h.mustHoldStill(i, "with the drop")
	told := h.held(i)[0].Leaving
	h.approveFindings(i)
	h.change(world.Change{Op: "rate_vulnerability", CVEs: left, Severity: "low"})
	bad := &spoiler{next: h.server.Config.Handler, path: "/api/machines/SoftwareVulnerabilitiesByMachine"}
	h.server.Config.Handler = bad
	h.both(time.Minute)
	mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, "")
	if n := h.openOf(ids); n != all {
		t.Errorf("%d are open, were %d", n, all)
	}
	bad.path = ""
	h.asTold(i)
	if n := h.openOf(ids); n != all-told {
		t.Errorf("%d are open of %d, of which somebody let %d go", n, all, told)
	}
	h.mustBeHeld(i, all-told, "what nobody was told of")
}
