package syncer_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/internal/syncer"
)

// TestWhatAnIncompleteReadingChangedIsSetRight has two rows of one machine be unreadable: the only one of a finding, which stays open, and
// one of the several of another, which loses that software. The next reading has all rows again, as those that the asset was compared by
// before.
func TestWhatAnIncompleteReadingChangedIsSetRight(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 20)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	chosen := strings.Fields(h.text(`
		select a.source_id || ' ' || min(v.name) filter (where cardinality(f.software_ids) = 1) || ' ' || min(v.name) filter (where cardinality(f.software_ids) > 1)
		from finding f join asset a on a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id where f.state = 1
		group by a.source_id having count(distinct cardinality(f.software_ids) > 1) = 2 order by 1 limit 1`))
	left := map[string]int{chosen[1]: 1, chosen[2]: 1}
	bad.path, bad.spoils = "/api/machines/SoftwareVulnerabilitiesByMachine", func(row map[string]any) bool {
		cve, _ := row["cveId"].(string)
		spoilt := row["deviceId"] == chosen[0] && left[cve] > 0
		if spoilt {
			left[cve]--
		}
		return spoilt
	}
	run := h.again(i, syncer.Incremental)
	if c := run.Report.StageNamed(syncer.StageVulnerabilities).Counts; run.State != syncer.PartiallySucceeded || c.Fixed != 0 || c.Updated != 1 {
		t.Fatalf("the run is %s: %+v", run.State, c)
	}
	bad.path = ""
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}
