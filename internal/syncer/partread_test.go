package syncer_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// oneOfEach names a machine, a finding of it in one software and another one in several.
func (h *house) oneOfEach() []string {
	h.t.Helper()
	return strings.Fields(h.text(`
		select a.source_id || ' ' || min(v.name) filter (where cardinality(f.software_ids) = 1) || ' ' || min(v.name) filter (where cardinality(f.software_ids) > 1)
		from finding f join asset a on a.id = f.asset_id join vulnerability v on v.id = f.vulnerability_id where f.state = 1
		group by a.source_id having count(distinct cardinality(f.software_ids) > 1) = 2 order by 1 limit 1`))
}

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
	chosen := h.oneOfEach()
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

// TestWhatChangedBesideAHoldIsSetRight leaves all rows out but those of one finding, which loses one software; the next reading has all rows
// again, as those that the assets were compared by before the drop.
func TestWhatChangedBesideAHoldIsSetRight(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 20)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	chosen, kept := h.oneOfEach(), 0
	bad.path, bad.omits = "/api/machines/SoftwareVulnerabilitiesByMachine", func(row map[string]any) bool {
		if row["deviceId"] != chosen[0] || row["cveId"] != chosen[2] {
			return true
		}
		kept++
		return kept > 1
	}
	run := h.again(i, syncer.Incremental)
	if s := run.Report.StageNamed(syncer.StageVulnerabilities); s.Held == 0 || s.Counts.Updated != 1 {
		t.Fatalf("%d held, %+v", s.Held, s.Counts)
	}
	bad.path = ""
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustBeHeld(i, 0, "with all rows again")
	h.mustEqualTruth(h.tenant)
}

// TestARowThatWasNotReadMayCount has two products of one vulnerability, which the catalogue does not rate, be told apart by their rows: one counts, and the
// other is too mild. The finding stays while the one that counts cannot be read, and goes once it is mild as well.
func TestARowThatWasNotReadMayCount(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 20)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	mustSucceed(t, h.work())
	chosen := h.oneOfEach()
	machine, cve := chosen[0], chosen[2]
	h.sql(`update vulnerability set severity_word = '', score = null, severity = 0 where name = $1`, cve)
	rows := func(word string, unreadable bool) func(map[string]any) bool {
		grave := 0
		return func(row map[string]any) bool {
			if row["deviceId"] != machine || row["cveId"] != cve {
				return false
			}
			row["vulnerabilitySeverityLevel"] = "Low"
			if grave++; grave > 1 {
				return false
			}
			row["vulnerabilitySeverityLevel"] = word
			return unreadable
		}
	}
	state := func() inventory.FindingState { return h.findingsOf(h.tenant, machine)[cve].State }
	for _, step := range []struct {
		word       string
		unreadable bool
		ends       syncer.RunState
		state      inventory.FindingState
	}{
		{"Critical", false, syncer.Succeeded, inventory.FindingOpen},
		{"Critical", true, syncer.PartiallySucceeded, inventory.FindingOpen},
		{"Critical", false, syncer.Succeeded, inventory.FindingOpen},
		{"Low", false, syncer.Succeeded, inventory.FindingOutOfScope},
	} {
		bad.path, bad.spoils = "/api/machines/SoftwareVulnerabilitiesByMachine", rows(step.word, step.unreadable)
		run := h.again(i, syncer.Incremental)
		if got := state(); run.State != step.ends || got != step.state {
			t.Errorf("after %+v the finding is %s, the run %s: %s", step, got, run.State, run.Report.Summary)
		}
	}
	h.mustAudit(h.tenant)
}
