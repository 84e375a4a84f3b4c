package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/syncer"
)

// TestARunTellsWhosePagesItGoesOnWith has a run fail in the middle of the report, another one fail after it, and a third go on.
func TestARunTellsWhosePagesItGoesOnWith(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 10}})
	i := h.connect(h.tenant, nil)
	broken := func(after int) {
		h.sim.ClearFaults()
		h.fault(defendersim.Fault{Route: "software_vulnerabilities", After: after, Status: 503})
	}
	broken(2)
	first := h.work()
	broken(1)
	second := h.again(i, syncer.Incremental)
	h.sim.ClearFaults()
	third := h.again(i, syncer.Incremental)
	mustSucceed(t, third)
	h.mustEqualTruth(h.tenant)
	for _, c := range []struct {
		run     syncer.Run
		resumed int64
		from    string
	}{{first, 0, ""}, {second, 2, first.PublicID.String()}, {third, 3, second.PublicID.String()}} {
		s := c.run.Report.StageNamed(syncer.StageVulnerabilities)
		if s == nil || s.Resumed != c.resumed || s.ResumedFrom != c.from || c.run.Report.StageNamed(syncer.StageAssets).ResumedFrom != "" {
			t.Errorf("%s: %+v, want %d pages of %q", c.run.State, s, c.resumed, c.from)
		}
	}
}
