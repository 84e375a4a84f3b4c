package syncer_test

import (
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// withStale has one asset go stale that has findings of high severity and of lower ones.
func withStale(t *testing.T, large bool) (*house, connector.Integration, string) {
	var h *house
	var i connector.Integration
	if large {
		h, i = largeHouse(t)
	} else {
		h = newPlainHouse(t, 12, 12)
		i = h.connect(h.tenant, nil)
		mustSucceed(t, h.work())
	}
	source := h.machine(7)
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 45})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if a := h.asset(h.tenant, source); a.State != inventory.AssetStale || a.Counts.High == 0 || a.Counts.Medium+a.Counts.Low == 0 {
		t.Fatalf("the asset is %s with %+v", a.State, a.Counts)
	}
	return h, i, source
}

// mustBeStale checks that the asset is stale, and its findings; see mustBeJudged.
func (h *house) mustBeStale(source string, from inventory.Severity, reason inventory.Reason) {
	h.t.Helper()
	if a := h.asset(h.tenant, source); a.State != inventory.AssetStale {
		h.t.Errorf("the asset is %s", a.State)
	}
	h.mustBeJudged(source, from, reason)
	h.mustAudit(h.tenant)
}

// mustBeJudged checks the findings of an asset: those of a severity and up are open, the others out of scope for the reason.
func (h *house) mustBeJudged(source string, from inventory.Severity, reason inventory.Reason) {
	h.t.Helper()
	for cve, f := range h.findingsOf(h.tenant, source) {
		state, why := inventory.FindingOpen, ""
		if f.Severity < from {
			state, why = inventory.FindingOutOfScope, string(reason)
		}
		if f.State != state || f.StateReason != why {
			h.t.Errorf("%s, %s, is %s %q, want %s %q", cve, f.Severity, f.State, f.StateReason, state, why)
		}
	}
}

// TestTheCountsOfAnIntegrationAreOfTheSameAssets has a stale asset with open findings.
func TestTheCountsOfAnIntegrationAreOfTheSameAssets(t *testing.T) {
	t.Parallel()
	h, i, source := withStale(t, false)
	assets, findings := 0, 0
	for _, a := range h.assets(h.tenant, inventory.AssetActive, inventory.AssetInactive) {
		assets, findings = assets+1, findings+open(a)
	}
	if now := h.integration(i); now.OpenAssets != assets || now.OpenFindings != findings || open(h.asset(h.tenant, source)) == 0 {
		t.Errorf("%d assets with %d open findings, want %d and %d", now.OpenAssets, now.OpenFindings, assets, findings)
	}
}

// beyondAll is a severity that no finding has.
const beyondAll = inventory.SeverityCritical + 1

// TestStaleAssetsFollowTheSettings changes what counts while nobody reads the rows of a stale asset.
func TestStaleAssetsFollowTheSettings(t *testing.T) {
	t.Parallel()
	for name, large := range map[string]bool{"whole report": false, "changes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, source := withStale(t, large)
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			mustBalance(t, run)
			if plan(run).Changes != large {
				t.Errorf("the plan was %+v", plan(run))
			}
			h.mustBeStale(source, inventory.SeverityHigh, inventory.SeverityBelowMin)

			h.set(i, func(s *inventory.Settings) {
				s.MinSeverity, s.AttackVectors = inventory.SeverityHigh, []inventory.AttackVector{inventory.VectorPhysical}
			})
			mustSucceed(t, h.again(i, syncer.Incremental))
			for cve, f := range h.findingsOf(h.tenant, source) {
				if f.State != inventory.FindingOutOfScope || f.StateReason == string(inventory.SeverityBelowMin) && f.AttackVector != inventory.VectorUnknown {
					t.Errorf("%s is %s %q", cve, f.State, f.StateReason)
				}
			}
			h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
			run = h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			mustBalance(t, run)
			h.mustBeStale(source, inventory.SeverityUnknown, "")
			if again := h.again(i, syncer.Full); !again.Report.NoChanges {
				t.Errorf("a full run found something left: %s", again.Report.Summary)
			}
			h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 1})
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.mustEqualTruth(h.tenant)
		})
	}
}

// TestStaleAssetsGetTheirFindingsBack switches the import of vulnerabilities off and on.
func TestStaleAssetsGetTheirFindingsBack(t *testing.T) {
	t.Parallel()
	h, i, source := withStale(t, false)
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = false })
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustBeStale(source, beyondAll, inventory.ImportVulnerabilitiesOff)
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities, s.MinSeverity = true, inventory.SeverityHigh })
	told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, told, run)
	mustBalance(t, run)
	h.mustBeStale(source, inventory.SeverityHigh, inventory.SeverityBelowMin)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityLow })
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustBeStale(source, inventory.SeverityUnknown, "")
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges {
		t.Errorf("afterwards: %s", again.Report.Summary)
	}
}

// TestReasonsFollowTheSettings has findings that are out of scope be so for another reason.
func TestReasonsFollowTheSettings(t *testing.T) {
	t.Parallel()
	for name, large := range map[string]bool{"whole report": false, "changes": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i := newPlainHouse(t, 12, 12), connector.Integration{}
			if large {
				h, i = largeHouse(t)
			} else {
				i = h.connect(h.tenant, nil)
				mustSucceed(t, h.work())
			}
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.set(i, func(s *inventory.Settings) { s.AttackVectors = []inventory.AttackVector{inventory.VectorAdjacent} })
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			mustBalance(t, run)
			if plan(run).Changes != large {
				t.Errorf("the plan was %+v", plan(run))
			}
			if n := h.number(`select count(*) from finding where state = 3 and attack_vector = $1 and state_reason <> 'vector_not_selected'`, inventory.VectorNetwork); n != 0 {
				t.Errorf("%d findings tell a reason that is none any more", n)
			}
			if n := h.number(`select count(*) from finding where state = 3 and attack_vector = $1`, inventory.VectorNetwork); n == 0 {
				t.Error("there are no such findings")
			}
			if full := h.again(i, syncer.Full); !full.Report.NoChanges {
				t.Errorf("a full run found something left: %s", full.Report.Summary)
			}
		})
	}
}

// TestWhatStaleAssetsHaveFollowsFromTheSettings takes settings to the same end in different orders, with an asset that is too old for some
// and in the wrong group for others.
func TestWhatStaleAssetsHaveFollowsFromTheSettings(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 12)
	i := h.connect(h.tenant, func(s *inventory.Settings) { s.MaxAgeDays = 180 })
	source := h.machine(7)
	h.change(world.Change{Op: "touch_machine", MachineID: source, LastSeenDaysAgo: 45}, world.Change{Op: "regroup_machine", MachineID: source, Group: ptr(0)})
	mustSucceed(t, h.work())
	group := h.asset(h.tenant, source).GroupName
	aged := func(s *inventory.Settings) { s.MaxAgeDays = 30 }
	filtered := func(s *inventory.Settings) { s.DeviceGroups = []string{group + " no more"} }
	open := func(s *inventory.Settings) { s.DeviceGroups = nil }
	grave := func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh }
	for _, step := range []struct {
		what  []func(*inventory.Settings)
		state inventory.AssetState
	}{
		{[]func(*inventory.Settings){aged}, inventory.AssetStale},
		{[]func(*inventory.Settings){filtered}, inventory.AssetOutOfScope},
		{[]func(*inventory.Settings){open}, inventory.AssetStale},
		{[]func(*inventory.Settings){filtered, func(s *inventory.Settings) { s.MaxAgeDays = 180 }}, inventory.AssetOutOfScope},
		{[]func(*inventory.Settings){open, aged}, inventory.AssetStale},
		{[]func(*inventory.Settings){filtered, grave}, inventory.AssetOutOfScope},
	} {
		for _, change := range step.what {
			h.set(i, change)
		}
		told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		mustBeAlike(t, told, run)
		mustBalance(t, run)
		a := h.asset(h.tenant, source)
		if a.State != step.state {
			t.Fatalf("the asset is %s %q, want %s", a.State, a.StateReason, step.state)
		}
		if step.state == inventory.AssetStale {
			h.mustBeStale(source, inventory.SeverityUnknown, "")
		} else {
			h.mustAllBe(source, len(h.findingsOf(h.tenant, source)), inventory.FindingOutOfScope, string(inventory.GroupFiltered))
		}
	}
	h.set(i, open)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustBeStale(source, inventory.SeverityHigh, inventory.SeverityBelowMin)
	if full := h.again(i, syncer.Full); !full.Report.NoChanges {
		t.Errorf("a full run found something left: %s", full.Report.Summary)
	}
}
