package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// sightings are how many findings and vulnerabilities count as first seen not an hour ago.
func (h *house) sightings() (findings, vulnerabilities int64) {
	h.t.Helper()
	since := h.now.Add(-time.Hour)
	return h.number(`select count(*) from finding where first_seen_at > $1`, since), h.number(`select count(*) from exposure where first_seen_at > $1`, since)
}

// TestAFirstSightingThatIsToldLaterCounts imports from rows that tell no times, and then the whole report, which changes nothing else of most findings.
func TestAFirstSightingThatIsToldLaterCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 10)
	for _, route := range []string{"software_vulnerabilities", "software_vulnerabilities_export"} {
		h.fault(defendersim.Fault{Route: route, Status: 404})
	}
	i := h.connect(h.tenant, nil)
	if run := h.work(); plan(run).Via != connector.ViaMapping {
		t.Fatalf("read by %+v", plan(run))
	}
	if findings, vulnerabilities := h.sightings(); findings == 0 || vulnerabilities == 0 {
		t.Fatalf("%d findings of %d vulnerabilities were seen just now", findings, vulnerabilities)
	}
	h.sim.ClearFaults()
	mustSucceed(t, h.again(i, syncer.Incremental))
	if findings, vulnerabilities := h.sightings(); findings != 0 || vulnerabilities != 0 {
		t.Errorf("%d findings of %d vulnerabilities were seen just now still", findings, vulnerabilities)
	}
	h.mustEqualTruth(h.tenant)
}

// TestAFirstSightingThatAChangeTellsCounts has findings count as first seen when they came. A change that is told again, as readings overlap, says when
// they were.
func TestAFirstSightingThatAChangeTellsCounts(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 10)
	h.readChanges()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for _, op := range []string{"remove_findings", "restore_findings"} {
		h.both(2 * time.Hour)
		h.change(world.Change{Op: op, Machine: ptr(1)})
		mustSucceed(t, h.again(i, syncer.Incremental))
	}
	h.sql(`update finding f set first_seen_at = $1 where exists (select from finding_event e where e.asset_id = f.asset_id and e.vulnerability_id = f.vulnerability_id)`, h.now)
	if findings, _ := h.sightings(); findings == 0 {
		t.Fatal("no finding was changed")
	}
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if findings, _ := h.sightings(); !plan(run).Changes || findings != 0 {
		t.Errorf("%d findings were seen just now still, after reading %+v", findings, plan(run))
	}
}
