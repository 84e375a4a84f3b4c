//go:build scale

package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// TestScaleOfAChangeOfEverything has all rows of 100,000 machines change, as a month's updates do, and reads that as changes: as many as
// there are findings, each of which is compared with what is stored.
func TestScaleOfAChangeOfEverything(t *testing.T) {
	h, _ := newLargeHouse(t)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	stored := h.number(`select count(*) from finding where tenant_id = $1 and state = 1`, h.tenant)
	h.change(world.Change{Op: "change_rows", Percent: 100, Pattern: "scattered"})
	h.both(7 * time.Hour)
	begun := time.Now()
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	t.Logf("%d findings, %v: %s", stored, time.Since(begun).Round(time.Second), run.Report.Summary)
	if updated := run.Report.StageNamed(syncer.StageVulnerabilities).Counts.Updated; !plan(run).Changes || updated < stored*9/10 {
		t.Errorf("%d of %d findings were updated, read %+v", updated, stored, plan(run))
	}
	h.mustAudit(h.tenant)
}
