package syncer_test

import (
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// both lets time go by here and at Microsoft: what was changed there before is older then.
func (h *house) both(d time.Duration) {
	h.pass(d)
	h.sim.Advance(d)
}

// toMorning lets time go by until a day begins, whose machines were last seen when they were: the next day they were seen again.
func (h *house) toMorning() {
	h.both(h.now.UTC().Truncate(24 * time.Hour).Add(24*time.Hour + time.Minute).Sub(h.now))
}

// mustNeedNothing fails the test if a full run finds anything to do.
func (h *house) mustNeedNothing(i connector.Integration) {
	h.t.Helper()
	full := h.again(i, syncer.Full)
	mustSucceed(h.t, full)
	if c := findingCounts(h.t, full); c.Changes() != 0 {
		h.t.Errorf("a full run changed %+v", c)
	}
}

// next runs a day later.
func (h *house) next(i connector.Integration) syncer.Run {
	h.t.Helper()
	h.both(24 * time.Hour)
	return h.again(i, syncer.Incremental)
}

// TestWhatHappenedWhileAMachineWasAbsentIsNotLost lets rows change early on a day on whose run their machine is missing, held or
// unreadable; on the next day's run it is back.
func TestWhatHappenedWhileAMachineWasAbsentIsNotLost(t *testing.T) {
	t.Parallel()
	t.Run("missing once", func(t *testing.T) {
		t.Parallel()
		h, i := largeHouse(t)
		h.readChangesAndCountMisses()
		h.both(2 * time.Hour)
		h.change(world.Change{Op: "remove_findings", Machine: ptr(3)}, world.Change{Op: "remove_machines", From: 3, To: 4})
		mustSucceed(t, h.next(i))
		h.change(world.Change{Op: "restore_machines", From: 3, To: 4})
		mustSucceed(t, h.next(i))
		h.mustEqualTruthButStale()
		h.mustNeedNothing(i)
	})
	t.Run("held", func(t *testing.T) {
		t.Parallel()
		h, i := largeHouse(t)
		h.both(2 * time.Hour)
		h.change(world.Change{Op: "remove_findings", Machine: ptr(3)}, world.Change{Op: "remove_machines", From: 0, To: 15})
		h.next(i)
		h.change(world.Change{Op: "restore_machines", From: 0, To: 15})
		mustSucceed(t, h.next(i))
		h.mustEqualTruthButStale()
		h.mustNeedNothing(i)
	})
	t.Run("unreadable", func(t *testing.T) {
		t.Parallel()
		h := newPlainHouse(t, 20, 12)
		bad := &spoiler{next: h.server.Config.Handler}
		h.server.Config.Handler = bad
		h.readChanges()
		i := h.connect(h.tenant, nil)
		mustSucceed(t, h.work())
		var ids []string
		for n := range 20 {
			ids = append(ids, h.machine(n))
		}
		third := slices.Index(ids, slices.Sorted(slices.Values(ids))[2]) // the one that is spoilt
		h.both(2 * time.Hour)
		var others []string
		for f := range h.state().Findings() {
			if f.SourceID != ids[third] && !slices.Contains(others, f.CVE) && len(others) < 3 {
				others = append(others, f.CVE)
			}
		}
		h.change(world.Change{Op: "add_findings", Machine: &third, CVEs: others})
		bad.path = "/api/machines"
		if run := h.next(i); run.State != syncer.PartiallySucceeded {
			t.Fatalf("the run is %s", run.State)
		}
		bad.path = ""
		mustSucceed(t, h.next(i))
		h.mustEqualTruthButStale()
		h.mustNeedNothing(i)
	})
}

// readChangesAndCountMisses is readChanges with the usual rules for removal.
func (h *house) readChangesAndCountMisses() {
	policy := syncer.DefaultReportPolicy()
	policy.WholeRows = 0
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: h.t.TempDir(), Report: policy, Removal: syncer.DefaultRemovalPolicy()}, h.logger(), silence{}, h.clock)
}

func TestASurvivorLosesARowThatItsMergedRecordHas(t *testing.T) {
	t.Parallel()
	h, i := largeHouse(t)
	var cve string
	for f := range h.state().Findings() {
		if f.SourceID == h.machine(5) {
			cve = f.CVE
		}
	}
	h.change(world.Change{Op: "add_findings", Machine: ptr(2), CVEs: []string{cve}}, world.Change{Op: "merge_machine", Machine: ptr(2), Into: ptr(5)})
	mustSucceed(t, h.next(i))
	h.both(20 * time.Hour)
	h.change(world.Change{Op: "remove_findings", Machine: ptr(5), CVEs: []string{cve}})
	mustSucceed(t, h.next(i))
	h.mustEqualTruthButStale()
	h.mustNeedNothing(i)
}

// TestALossOfAMergedRecordIsReadWholeOnce has the loss be told by the changes of several runs, and something new beside it.
func TestALossOfAMergedRecordIsReadWholeOnce(t *testing.T) {
	t.Parallel()
	for name, survivors := range map[string]bool{"of the record": false, "of the survivor": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i := largeHouse(t)
			record, survivor := h.machine(2), h.machine(5)
			var lost []string
			for _, f := range h.truthOf(survivor)[:2] {
				lost = append(lost, f.CVE)
			}
			loser := record
			if survivors {
				loser = survivor
			}
			h.change(world.Change{Op: "add_findings", MachineID: record, CVEs: lost}, world.Change{Op: "merge_machine", MachineID: record, Into: ptr(5)})
			mustSucceed(t, h.next(i))
			h.both(20 * time.Hour)
			h.change(world.Change{Op: "remove_findings", MachineID: loser, CVEs: lost})
			for n, want := range []bool{false, true, true} {
				h.both(time.Hour)
				run := h.again(i, syncer.Incremental)
				mustSucceed(t, run)
				mustBalance(t, run)
				if plan(run).Changes != want {
					t.Errorf("run %d: %+v", n, plan(run))
				}
				h.mustEqualTruthButStale()
			}
			h.change(world.Change{Op: "restore_findings", MachineID: loser, CVEs: lost[:1]})
			h.both(time.Hour)
			if run := h.again(i, syncer.Incremental); !plan(run).Changes {
				t.Errorf("what came back: %+v", plan(run))
			}
			h.both(time.Hour)
			h.change(world.Change{Op: "remove_findings", MachineID: loser, CVEs: lost[:1]})
			h.both(time.Hour)
			if run := h.again(i, syncer.Incremental); plan(run).Changes {
				t.Errorf("a later loss of the same row: %+v", plan(run))
			}
			h.mustEqualTruthButStale()
			h.mustNeedNothing(i)
		})
	}
}

func TestARecordMovesToAnotherSurvivor(t *testing.T) {
	t.Parallel()
	h, i := largeHouse(t)
	merged, first, second := h.machine(3), h.machine(5), h.machine(6)
	h.change(world.Change{Op: "merge_machine", Machine: ptr(3), Into: ptr(5)})
	mustSucceed(t, h.next(i))
	if a := h.asset(h.tenant, merged); a.MergedInto != first {
		t.Errorf("merged into %q, want %q", a.MergedInto, first)
	}
	h.change(world.Change{Op: "merge_machine", Machine: ptr(3), Into: ptr(6)})
	mustSucceed(t, h.next(i))
	if a := h.asset(h.tenant, merged); a.MergedInto != second {
		t.Errorf("merged into %q, want %q", a.MergedInto, second)
	}
	h.mustEqualTruthButStale()
	h.mustNeedNothing(i)
	h.change(world.Change{Op: "unmerge_machine", Machine: ptr(3)})
	mustSucceed(t, h.next(i))
	h.mustEqualTruthButStale()
	h.mustNeedNothing(i)
}
