package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// withAbsent has the first of twenty machines be out of the list and kept: so few that they are missing, or so many that the drop is held back.
// The report is read whole each time, or what changed in it.
func withAbsent(t *testing.T, large bool, absent int) (h *house, i connector.Integration, gone, listed []string) {
	h = newPlainHouse(t, 20, 12)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
	h.believeAfter(syncer.DefaultRemovalPolicy())
	if large {
		h.readChangesAndCountMisses()
	}
	i = h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for n := range 20 {
		if n < absent {
			gone = append(gone, h.machine(n))
		} else {
			listed = append(listed, h.machine(n))
		}
	}
	h.both(time.Hour)
	h.change(leave(absent))
	mustSucceed(t, h.again(i, syncer.Incremental))
	return h, i, gone, listed
}

// weighed counts the findings of assets: those of a severity and up, and the others.
func (h *house) weighed(machines []string, from inventory.Severity) (grave, others int64) {
	h.t.Helper()
	for _, source := range machines {
		for _, f := range h.findingsOf(h.tenant, source) {
			if f.Severity >= from {
				grave++
			} else {
				others++
			}
		}
	}
	return grave, others
}

// mustFollow checks that assets are in scope, and their findings; see mustBeJudged.
func (h *house) mustFollow(machines []string, from inventory.Severity, reason inventory.Reason) {
	h.t.Helper()
	for _, source := range machines {
		if a := h.asset(h.tenant, source); a.State != inventory.AssetActive && a.State != inventory.AssetInactive {
			h.t.Errorf("the asset is %s", a.State)
		}
		h.mustBeJudged(source, from, reason)
	}
	h.mustAudit(h.tenant)
}

// mustReturn lists the first machines again, once there is nothing to do without them.
func (h *house) mustReturn(i connector.Integration, absent int) {
	h.t.Helper()
	h.mustNeedNothing(i)
	h.change(back(absent))
	mustSucceed(h.t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustNeedNothing(i)
}

// asTold carries out a run that must do what a preview of it told, and balance.
func (h *house) asTold(i connector.Integration) syncer.Run {
	h.t.Helper()
	told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(h.t, run)
	mustBeAlike(h.t, told, run)
	mustBalance(h.t, run)
	return run
}

// eachAbsent carries out a test with machines that are missing and with machines that are held, by each way of reading.
func eachAbsent(t *testing.T, test func(t *testing.T, large bool, absent int)) {
	t.Parallel()
	for kind, absent := range map[string]int{"missing": 4, "held": 15} {
		for way, large := range map[string]bool{"whole report": false, "changes": true} {
			t.Run(kind+", "+way, func(t *testing.T) {
				t.Parallel()
				test(t, large, absent)
			})
		}
	}
}

// TestAbsentAssetsFollowTheSettings narrows the settings, narrows them otherwise and takes that back while nobody reads the rows of some assets:
// what becomes of findings, and what the run tells of it, depends on neither that nor the way the others are read.
func TestAbsentAssetsFollowTheSettings(t *testing.T) {
	eachAbsent(t, func(t *testing.T, large bool, absent int) {
		h, i, gone, listed := withAbsent(t, large, absent)
		grave, others := h.weighed(listed, inventory.SeverityHigh)
		_, more := h.weighed(gone, inventory.SeverityHigh)
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
		run := h.asTold(i)
		if c := findingCounts(t, run); plan(run).Changes != large || c.Unchanged != grave || c.OutOfScope != others+more || c.Changes() != c.OutOfScope {
			t.Errorf("by %+v: %+v, want %d unchanged, %d and %d out of scope", plan(run), c, grave, others, more)
		}
		h.mustFollow(append(listed, gone...), inventory.SeverityHigh, inventory.SeverityBelowMin)

		h.set(i, func(s *inventory.Settings) {
			s.MinSeverity, s.AttackVectors = inventory.SeverityLow, []inventory.AttackVector{inventory.VectorAdjacent}
		})
		h.asTold(i)
		for _, source := range gone {
			for cve, f := range h.findingsOf(h.tenant, source) {
				if f.AttackVector == inventory.VectorNetwork && f.StateReason != string(inventory.VectorNotSelected) || f.StateReason == string(inventory.SeverityBelowMin) {
					t.Errorf("%s, by %s, is %s %q", cve, f.AttackVector, f.State, f.StateReason)
				}
			}
		}
		h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
		run = h.asTold(i)
		if c := findingCounts(t, run); c.OutOfScope+c.Fixed+c.Created+c.Reopened != 0 {
			t.Errorf("taken back: %+v", c)
		}
		h.mustFollow(append(listed, gone...), inventory.SeverityUnknown, "")
		if r := h.reconciliation(run); r.Unexplained != 0 {
			t.Errorf("%d are left unexplained: %+v", r.Unexplained, r.Sum)
		}
		h.mustReturn(i, absent)
	})
}

// TestAbsentAssetsGetTheirFindingsBack switches the import of vulnerabilities off, and on again once machines have gone out of the list.
func TestAbsentAssetsGetTheirFindingsBack(t *testing.T) {
	eachAbsent(t, func(t *testing.T, large bool, absent int) {
		h, i, gone, listed := withAbsent(t, large, absent)
		h.set(i, noVulnerabilities)
		h.asTold(i)
		h.mustFollow(append(listed, gone...), beyondAll, inventory.ImportVulnerabilitiesOff)
		h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities, s.MinSeverity = true, inventory.SeverityHigh })
		run := h.asTold(i)
		h.mustFollow(gone, inventory.SeverityHigh, inventory.SeverityBelowMin)
		if r := h.reconciliation(run); r.Unexplained != 0 {
			t.Errorf("%d are left unexplained: %+v", r.Unexplained, r.Sum)
		}
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityLow })
		h.asTold(i)
		h.mustFollow(append(listed, gone...), inventory.SeverityUnknown, "")
		h.mustReturn(i, absent)
	})
}

// TestACarrierThatIsKeptIsNoMachineOfTheRun takes all findings out of scope, those of listed carriers and of missing ones, which nobody read.
func TestACarrierThatIsKeptIsNoMachineOfTheRun(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 12)
	h.set(i, assetsOff)
	mustSucceed(t, h.again(i, syncer.Incremental))
	var carriers []string
	for _, source := range ids[:8] {
		if open(h.asset(h.tenant, source)) > 0 {
			carriers = append(carriers, source)
		}
	}
	h.change(leave(8))
	h.set(i, func(s *inventory.Settings) {
		s.AttackVectors, s.UnknownVector = []inventory.AttackVector{inventory.VectorPhysical}, inventory.UnknownExclude
	})
	run := h.asTold(i)
	if c := assetCounts(t, run); c.Fetched != 12 || c.OutOfScope > 12 || c.Accepted < 0 {
		t.Errorf("of 12 machines: %+v", c)
	}
	h.mustFollow(carriers, beyondAll, inventory.VectorNotSelected)
}

// TestAnAssetThatWentMissingOnItsWayBackHasWhatTheSettingsGiveIt lets assets in again by a run that ends before it has read the report.
func TestAnAssetThatWentMissingOnItsWayBackHasWhatTheSettingsGiveIt(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 12)
	away := partings["an address that is denied"]
	away[0](h, i)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustAllBe(ids[3], len(h.findingsOf(h.tenant, ids[3])), inventory.FindingOutOfScope, string(inventory.IPNone))
	away[1](h, i)
	if _, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Incremental); err != nil {
		t.Fatal(err)
	}
	h.holdAt("software_vulnerabilities").stop()
	h.sim.ClearFaults()
	h.change(leave(4))
	h.believeAfter(syncer.DefaultRemovalPolicy()) // elsewhere, where nothing of the lists is kept
	run := h.work()
	mustSucceed(t, run)
	mustBalance(t, run)
	h.mustFollow(ids, inventory.SeverityUnknown, "")
	h.change(back(4))
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustNeedNothing(i)
}

// TestAMissingAssetFollowsTheSettingsBetweenWholeLists narrows the settings while the machines that reported lately are all that is listed, and one that
// the last whole list missed is among the others.
func TestAMissingAssetFollowsTheSettingsBetweenWholeLists(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 12)
	h.readAsIfLarge()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	last := h.machine(3)
	h.change(leave(3))
	h.both(73 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.change(leave(4))
	mustSucceed(t, h.next(i)) // lists all once more, and misses the last one
	var listed []string
	for source := range h.assets(h.tenant, inventory.AssetActive, inventory.AssetInactive) {
		if source != last {
			listed = append(listed, source)
		}
	}
	grave, others := h.weighed(listed, inventory.SeverityHigh)
	_, more := h.weighed([]string{last}, inventory.SeverityHigh)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	h.both(time.Hour)
	run := h.asTold(i)
	if !run.Report.StageNamed(syncer.StageAssets).Partial || !plan(run).Changes {
		t.Fatalf("all machines were listed, or the report was read: %+v", plan(run))
	}
	if c := findingCounts(t, run); more == 0 || c.Unchanged != grave || c.OutOfScope != others+more || c.Changes() != c.OutOfScope {
		t.Errorf("%+v, want %d unchanged, %d and %d out of scope", c, grave, others, more)
	}
	h.mustFollow(append(listed, last), inventory.SeverityHigh, inventory.SeverityBelowMin)
}

// TestTheReasonIsTheOneThatIsTrueNow takes findings out of scope with their assets, and lets these back in while the import of findings is off.
func TestTheReasonIsTheOneThatIsTrueNow(t *testing.T) {
	t.Parallel()
	h, i, ids := patientHouse(t, 20, 8)
	away := partings["an address that is denied"]
	away[0](h, i)
	mustSucceed(t, h.again(i, syncer.Incremental))
	away[1](h, i)
	h.set(i, noVulnerabilities)
	before := h.findingRows(h.tenant)
	run := h.asTold(i)
	h.mustAccount(run, before)
	h.mustFollow(ids, beyondAll, inventory.ImportVulnerabilitiesOff)
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges {
		t.Errorf("afterwards: %s", again.Report.Summary)
	}
	away[0](h, i)
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = true })
	h.asTold(i)
	h.mustAllBe(ids[3], len(h.findingsOf(h.tenant, ids[3])), inventory.FindingOutOfScope, string(inventory.IPNone))
	away[1](h, i)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustNeedNothing(i)
}
