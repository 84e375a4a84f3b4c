package syncer_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

func TestAFixedFindingClosesAndReopens(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(3)
	cve := h.truthOf(source)[0].CVE
	before := h.asset(h.tenant, source)

	h.pass(time.Hour)
	h.change(world.Change{Op: "remove_findings", MachineID: source, CVEs: []string{cve}})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if c := findingCounts(t, run); c.Fixed != 1 || c.Changes() != 1 || run.Report.NoChanges {
		t.Errorf("counts of the fix: %+v", c)
	}
	closed := h.findingsOf(h.tenant, source)[cve]
	if closed.State != inventory.FindingFixed || closed.FixedAt.IsZero() || closed.ReopenCount != 0 {
		t.Errorf("the fixed finding is %s, fixed at %v, reopened %d times", closed.State, closed.FixedAt, closed.ReopenCount)
	}
	if after := h.asset(h.tenant, source); open(after) != open(before)-1 {
		t.Errorf("%d open findings on the asset, want %d", open(after), open(before)-1)
	}
	h.mustEqualTruth(h.tenant)

	for times := 1; times <= 2; times++ {
		h.pass(time.Hour)
		h.change(world.Change{Op: "restore_findings", MachineID: source, CVEs: []string{cve}})
		run = h.again(i, syncer.Incremental)
		if c := findingCounts(t, run); c.Reopened != 1 || c.Changes() != 1 {
			t.Errorf("counts of the return: %+v", c)
		}
		back := h.findingsOf(h.tenant, source)[cve]
		if back.State != inventory.FindingOpen || back.ReopenedAt.IsZero() || back.ReopenCount != times || !back.FixedAt.IsZero() {
			t.Errorf("the returned finding: %+v", back)
		}
		h.mustEqualTruth(h.tenant)
		h.change(world.Change{Op: "remove_findings", MachineID: source, CVEs: []string{cve}})
		mustSucceed(t, h.again(i, syncer.Incremental))
	}
}

func TestAVulnerabilityFixedEverywhereIsExposedNowhere(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 15, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	cve := h.truthOf(h.machine(0))[0].CVE
	h.change(world.Change{Op: "fix_vulnerability", CVEs: []string{cve}})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	if v, err := h.store.Vulnerability(t.Context(), h.tenant, cve); err != nil || v.ExposedAssets != 0 {
		t.Errorf("%d assets are exposed to a fixed vulnerability, %v", v.ExposedAssets, err)
	}
}

func TestARemovedMachineLeavesAndReturnsAsItself(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(5)
	before, count := h.asset(h.tenant, source), len(h.truthOf(source))

	h.pass(time.Hour)
	h.change(world.Change{Op: "remove_machines", MachineID: source})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if c := assetCounts(t, run); c.Removed != 1 || c.Changes() != 1 || len(run.Report.Warnings) != 0 {
		t.Errorf("counts of the removal: %+v, warnings %v", c, run.Report.Warnings)
	}
	if c := findingCounts(t, run); c.OutOfScope != int64(count) || c.Changes() != int64(count) || !strings.Contains(run.Report.Summary, fmt.Sprintf("%d out of scope", count)) {
		t.Errorf("%d findings left with the machine, booked: %+v, %q", count, c, run.Report.Summary)
	}
	gone := h.asset(h.tenant, source)
	if gone.State != inventory.AssetRemoved || open(gone) != 0 {
		t.Errorf("the machine that is gone is %s with %d open findings", gone.State, open(gone))
	}
	h.mustAllBe(source, count, inventory.FindingOutOfScope, "removed")
	h.mustEqualTruth(h.tenant)
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges {
		t.Errorf("removed once more: %s", again.Report.Summary)
	}

	h.change(world.Change{Op: "restore_machines", MachineID: source})
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	back := h.asset(h.tenant, source)
	if back.PublicID != before.PublicID || back.StateReason != "" || open(back) != open(before) {
		t.Errorf("the returned asset: %+v, before: %+v", back, before)
	}
	if c := findingCounts(t, run); c.Reopened != 0 || c.Created != 0 || c.Updated != int64(count) {
		t.Errorf("counts of the return: %+v", c)
	}
	for cve, f := range h.findingsOf(h.tenant, source) {
		if f.State != inventory.FindingOpen || f.ReopenCount != 0 || !f.ReopenedAt.IsZero() || f.StateReason != "" {
			t.Errorf("%s after the return: %+v", cve, f)
		}
	}
	h.mustEqualTruth(h.tenant)
}

// mustAllBe checks every finding of an asset.
func (h *house) mustAllBe(source string, n int, state inventory.FindingState, reason string) {
	h.t.Helper()
	findings := h.findingsOf(h.tenant, source)
	if len(findings) != n {
		h.t.Errorf("%d findings, want %d", len(findings), n)
	}
	for cve, f := range findings {
		if f.State != state || f.StateReason != reason {
			h.t.Errorf("%s is %s %q, want %s %q", cve, f.State, f.StateReason, state, reason)
		}
	}
}

func TestAnExcludedMachineLeavesAndReturns(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(2)
	count := len(h.truthOf(source))
	h.change(world.Change{Op: "exclude_machine", MachineID: source})
	run := h.again(i, syncer.Incremental)
	if c := assetCounts(t, run); c.OutOfScope != 1 || c.Removed != 0 {
		t.Errorf("counts of the exclusion: %+v", c)
	}
	if a := h.asset(h.tenant, source); a.State != inventory.AssetOutOfScope || a.StateReason != "excluded" {
		t.Errorf("the excluded asset is %s %q", a.State, a.StateReason)
	}
	h.mustAllBe(source, count, inventory.FindingOutOfScope, "excluded")
	h.mustEqualTruth(h.tenant)
	h.change(world.Change{Op: "include_machine", MachineID: source})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustAllBe(source, count, inventory.FindingOpen, "")
	h.mustEqualTruth(h.tenant)
}

func TestRowsOfAMergedMachineGoToTheSurvivor(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	lost, middle, survivor := h.machine(1), h.machine(4), h.machine(8)
	count := len(h.truthOf(lost))
	// A chain: the rows of the first arrive at the end of it.
	h.change(world.Change{Op: "merge_machine", MachineID: lost, Into: ptr(4)}, world.Change{Op: "merge_machine", MachineID: middle, Into: ptr(8)})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if a := h.asset(h.tenant, lost); a.State != inventory.AssetMerged || open(a) != 0 {
		t.Errorf("the merged asset is %s with %d open findings", a.State, open(a))
	}
	h.mustAllBe(lost, count, inventory.FindingOutOfScope, "merged")
	if got, want := open(h.asset(h.tenant, survivor)), len(h.truthOf(survivor)); got != want {
		t.Errorf("the survivor has %d open findings, want %d", got, want)
	}
	h.mustEqualTruth(h.tenant)
	h.change(world.Change{Op: "unmerge_machine", MachineID: lost}, world.Change{Op: "unmerge_machine", MachineID: middle})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}

func TestAStaleMachineKeepsItsOpenFindings(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(7)
	count := len(h.truthOf(source))
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 45})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if a := h.asset(h.tenant, source); a.State != inventory.AssetStale || open(a) != count {
		t.Errorf("the stale asset is %s with %d open findings, want %d", a.State, open(a), count)
	}
	h.mustAllBe(source, count, inventory.FindingOpen, "")
	h.mustAudit(h.tenant)
	if again := h.again(i, syncer.Full); !again.Report.NoChanges {
		t.Errorf("a stale machine changes every run: %s", again.Report.Summary)
	}
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 1})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)

	// Stale and then gone: out of scope, not fixed.
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 45})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.change(world.Change{Op: "remove_machines", MachineID: source})
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustAllBe(source, count, inventory.FindingOutOfScope, "removed")
	h.mustAudit(h.tenant)
}

func TestRenamedAndReaddressedMachinesStayThemselves(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	source := h.machine(0)
	first := h.asset(h.tenant, source)
	for _, name := range []string{"Second.Contoso.Example", "third.contoso.example"} {
		h.change(world.Change{Op: "rename_machine", MachineID: source, Hostname: name})
		run := h.again(i, syncer.Incremental)
		if c := assetCounts(t, run); c.Updated != 1 || c.Changes() != 1 {
			t.Errorf("counts of a renaming: %+v", c)
		}
	}
	a := h.asset(h.tenant, source)
	if want := []string{first.Hostname, "second.contoso.example"}; !slices.Equal(a.PreviousHostnames, want) || a.PublicID != first.PublicID {
		t.Errorf("previous host names %v, want %v", a.PreviousHostnames, want)
	}
	// Back to a former name: it is not previous any more.
	h.change(world.Change{Op: "rename_machine", MachineID: source, Hostname: "second.contoso.example"},
		world.Change{Op: "readdress_machine", MachineID: source, IP: "10.77.0.9"})
	mustSucceed(t, h.again(i, syncer.Incremental))
	a = h.asset(h.tenant, source)
	if want := []string{first.Hostname, "third.contoso.example"}; !slices.Equal(a.PreviousHostnames, want) || a.PrimaryIP.String() != "10.77.0.9" {
		t.Errorf("previous host names %v, want %v; address %s", a.PreviousHostnames, want, a.PrimaryIP)
	}
	h.mustEqualTruth(h.tenant)
}

func TestASightingAloneIsNoChange(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 10, 8)
	source := h.machine(4)
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 3})
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.asset(h.tenant, source)
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 1})
	run := h.again(i, syncer.Incremental)
	if c := assetCounts(t, run); !run.Report.NoChanges || c.Unchanged != 10 || c.Changes() != 0 {
		t.Errorf("no changes %v, counts %+v", run.Report.NoChanges, c)
	}
	after := h.asset(h.tenant, source)
	if !after.LastSeen.After(before.LastSeen) || !after.UpdatedAt.Equal(before.UpdatedAt) {
		t.Errorf("last seen %v, then %v; updated %v, then %v", before.LastSeen, after.LastSeen, before.UpdatedAt, after.UpdatedAt)
	}
}

func TestSettingsTakeFindingsOutOfScopeAndBack(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*inventory.Settings)
		hit    func(inventory.Finding) bool
		reason string
	}{
		{"minimum severity", func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical },
			func(f inventory.Finding) bool { return f.Severity < inventory.SeverityCritical }, "severity_below_minimum"},
		{"attack vectors", func(s *inventory.Settings) { s.AttackVectors = []inventory.AttackVector{inventory.VectorNetwork} },
			func(f inventory.Finding) bool { return f.AttackVector == inventory.VectorAdjacent }, "vector_not_selected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 12, 15)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			h.set(i, c.change)
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			if len(run.Report.Warnings) > 0 {
				t.Errorf("what the customer asked for is warned about: %+v", run.Report.Warnings)
			}
			hits := 0
			for _, f := range h.allFindings(h.tenant, inventory.FindingFilter{}) {
				state, reason := inventory.FindingOpen, ""
				if c.hit(f) {
					state, reason = inventory.FindingOutOfScope, c.reason
					hits++
				}
				if f.State != state || f.StateReason != reason {
					t.Errorf("%s %s is %s %q, want %s %q", f.Vulnerability, f.Severity, f.State, f.StateReason, state, reason)
				}
			}
			if got := findingCounts(t, run).OutOfScope; hits == 0 || got != int64(hits) {
				t.Errorf("%d findings out of scope, %d booked", hits, got)
			}
			h.mustAudit(h.tenant)
			h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
			run = h.again(i, syncer.Incremental)
			if c := findingCounts(t, run); c.Reopened != 0 || c.Updated != int64(hits) {
				t.Errorf("counts of the return: %+v, want %d updated", c, hits)
			}
			h.mustEqualTruth(h.tenant)
		})
	}
}

// TestFindingsThatLeaveWithTheirAssetsAreBookedOnce looks at runs that do not get to the findings, or get there late.
func TestFindingsThatLeaveWithTheirAssetsAreBookedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		route  string // that fails
		change func(*inventory.Settings)
		stage  syncer.Stage
	}{
		"the catalogue fails": {"vulnerabilities", nil, syncer.StageFinish}, "the rows fail": {"software_vulnerabilities", nil, syncer.StageVulnerabilities},
		"with asset import off": {"", assetsOff, syncer.StageVulnerabilities},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 12, 12)
			i := h.connect(h.tenant, c.change)
			mustSucceed(t, h.work())
			source := h.machine(5)
			count, before := len(h.truthOf(source)), h.findingRows(h.tenant)
			h.change(world.Change{Op: "exclude_machine", MachineID: source})
			if c.route != "" {
				h.fault(defendersim.Fault{Route: c.route, Status: 503})
			}
			run := h.again(i, syncer.Incremental)
			h.mustAccount(run, before)
			if n := countsOf(t, run, c.stage).OutOfScope; n != int64(count) || run.Report.Totals().OutOfScope != n+1 {
				t.Errorf("%d findings are booked out of scope, %d left; totals %+v", n, count, run.Report.Totals())
			}
			if !strings.Contains(run.Report.Summary, fmt.Sprint(count)) {
				t.Errorf("%q does not tell of %d findings", run.Report.Summary, count)
			}
		})
	}
}
