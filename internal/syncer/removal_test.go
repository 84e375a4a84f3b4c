package syncer_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// believeAfter makes a syncer that believes in a removal after some misses.
func (h *house) believeAfter(p syncer.RemovalPolicy) {
	o := syncer.Options{SpoolDir: h.t.TempDir(), Removal: p}
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
}

// readAsIfLarge has the directory read like one too large to be read whole each time.
func (h *house) readAsIfLarge() {
	report := syncer.DefaultReportPolicy()
	report.WholeRows, report.WholeMachines = 0, 0
	o := syncer.Options{SpoolDir: h.t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Report: report}
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
}

func TestAMachineMustBeMissingMoreThanOnce(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	h.believeAfter(syncer.RemovalPolicy{Misses: 2, Over: time.Hour})
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	missing := func(want int64, wait time.Duration) syncer.Run {
		t.Helper()
		h.pass(wait)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		s := run.Report.StageNamed(syncer.StageAssets)
		if s.Missing != want || s.Counts.Removed != 0 {
			t.Errorf("%d machines are missing, want %d; %d were removed", s.Missing, want, s.Counts.Removed)
		}
		return run
	}
	h.change(leave(3))
	run := missing(3, time.Minute)
	if told := syncer.Explain(run, h.integration(i), tenant.Entitlement{InternalAssessments: true}, h.now); told[0].Code != syncer.ExplainMissing {
		t.Errorf("the run explains %+v", told)
	}
	missing(3, time.Minute) // often enough, but not for long enough
	h.change(back(3))
	missing(0, time.Hour)
	if h.snapshot(h.tenant) != before {
		t.Error("machines that came back in time changed the inventory")
	}
	h.change(leave(3))
	missing(3, time.Minute) // the first miss again
	h.pass(time.Hour)
	run = h.again(i, syncer.Incremental)
	if c := assetCounts(t, run); c.Removed != 3 {
		t.Errorf("%d machines were removed, want 3", c.Removed)
	}
	h.mustEqualTruth(h.tenant)
}

func TestAPersonMayLetAHeldChangeThrough(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(9))
	run := h.again(i, syncer.Incremental)
	h.mustHold(run, before)
	held, err := h.store.HeldChanges(t.Context(), h.tenant, i.PublicID)
	if err != nil || len(held) != 1 {
		t.Fatalf("%+v, %v", held, err)
	}
	c := held[0]
	if c.Kind != syncer.HeldAssets || c.Run != run.PublicID || c.Before != 12 || c.After != 3 || c.Leaving != 9 || len(c.Samples) != 9 || !c.ApprovedAt.IsZero() {
		t.Errorf("held is %+v", c)
	}
	if c.Samples[0].Name == "" || c.Samples[0].SourceID == "" || c.Samples[0].Detail != "removed" {
		t.Errorf("a sample is %+v", c.Samples[0])
	}
	approve := func(kind syncer.HeldKind, run uuid.UUID) error {
		_, err := h.store.ApproveHeldChange(t.Context(), h.tenant, i.PublicID, syncer.Approval{Kind: kind, Run: run}, h.now)
		return err
	}
	for kind, other := range map[syncer.HeldKind]uuid.UUID{syncer.HeldFindings: run.PublicID, syncer.HeldAssets: uuid.New()} {
		if err := approve(kind, other); !fault.Is(err, fault.CodeConflict) {
			t.Errorf("approving of %s of another run: %v", kind, err)
		}
	}
	if err := approve(syncer.HeldAssets, run.PublicID); err != nil {
		t.Fatal(err)
	}
	mustSucceed(t, h.due())
	h.mustEqualTruth(h.tenant)
	if held, err := h.store.HeldChanges(t.Context(), h.tenant, i.PublicID); err != nil || len(held) != 0 {
		t.Errorf("%+v is still held, %v", held, err)
	}
}

func TestAnApprovalIsOfWhatWasSeen(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 4)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	before := h.snapshot(h.tenant)
	h.change(leave(12))
	run := h.again(i, syncer.Incremental)
	h.mustHold(run, before)
	if _, err := h.store.ApproveHeldChange(t.Context(), h.tenant, i.PublicID, syncer.Approval{Kind: syncer.HeldAssets, Run: run.PublicID}, h.now); err != nil {
		t.Fatal(err)
	}
	h.change(leave(18)) // meanwhile most of the rest went too
	h.mustHold(h.due(), before)
}

// withSomeMissing has three of twelve machines be missing for the first time.
func withSomeMissing(t *testing.T) (*house, syncer.Run) {
	h := newPlainHouse(t, 12, 8)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(3))
	h.both(time.Hour)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	return h, run
}

// usualRemoval is a house that wants machines to be missing twice, six hours apart, and that holds a drop of most of them.
func usualRemoval(t *testing.T) (h *house, i connector.Integration, held syncer.Run) {
	h = newPlainHouse(t, 12, 8)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	i = h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(10))
	h.both(time.Hour)
	held = h.again(i, syncer.Incremental)
	mustSucceed(t, held)
	if !warned(held, fault.CodeRemovalHeld) || assetCounts(t, held).Removed != 0 || held.Report.NoChanges {
		t.Fatalf("not held: %s", held.Report.Summary)
	}
	return h, i, held
}

func (h *house) held(i connector.Integration) []syncer.HeldChange {
	h.t.Helper()
	held, err := h.store.HeldChanges(h.t.Context(), i.Tenant, i.PublicID)
	if err != nil {
		h.t.Fatal(err)
	}
	return held
}

// TestWhatSomebodyLetsGoLeavesWithTheNextRun holds single machines to the usual misses, but not what a person has seen.
func TestWhatSomebodyLetsGoLeavesWithTheNextRun(t *testing.T) {
	t.Parallel()
	h, i, held := usualRemoval(t)
	h.approve(i, held)
	h.both(time.Minute)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 10 || len(h.held(i)) != 0 {
		t.Errorf("%d removed, want 10: %s", n, run.Report.Summary)
	}
	h.both(time.Minute)
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges || len(h.held(i)) != 0 {
		t.Errorf("afterwards: %s", again.Report.Summary)
	}
	h.mustEqualTruthButStale()
}

// TestAnAgreeingRunComesLateEnough lets a run agree too soon, which leaves what is held as it was, and one six hours later.
func TestAnAgreeingRunComesLateEnough(t *testing.T) {
	t.Parallel()
	h, i, held := usualRemoval(t)
	h.both(time.Hour)
	soon := h.again(i, syncer.Incremental)
	mustSucceed(t, soon)
	if list := h.held(i); assetCounts(t, soon).Removed != 0 || len(list) != 1 || list[0].Run != held.PublicID || soon.Report.NoChanges {
		t.Errorf("an hour later: %s, held %+v", soon.Report.Summary, list)
	}
	h.both(5 * time.Hour)
	late := h.again(i, syncer.Incremental)
	mustSucceed(t, late)
	if n := assetCounts(t, late).Removed; n != 10 || len(h.held(i)) != 0 {
		t.Errorf("six hours later %d removed: %s", n, late.Report.Summary)
	}
	h.mustEqualTruthButStale()
}

// TestWhoIsBackIsNotMissed lets the machines return that were held.
func TestWhoIsBackIsNotMissed(t *testing.T) {
	t.Parallel()
	h, i, _ := usualRemoval(t)
	h.change(back(10))
	h.both(7 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if n := h.number(`select count(*) from asset where missing_since is not null or misses > 0`); n != 0 || len(h.held(i)) != 0 {
		t.Errorf("%d are missed still, held %+v", n, h.held(i))
	}
	h.mustEqualTruthButStale()
}

// TestMissingMachinesAreNoEquality runs while a few machines are missing for the first time.
func TestMissingMachinesAreNoEquality(t *testing.T) {
	t.Parallel()
	_, run := withSomeMissing(t)
	if run.Report.NoChanges || !strings.Contains(run.Report.Summary, "3 ") || !strings.Contains(run.Report.Summary, "missing") {
		t.Errorf("it says %q, no changes: %v", run.Report.Summary, run.Report.NoChanges)
	}
}

// TestWhatIsLeftOfADropIsBelieved fixes findings while most machines are held back: the rows of those are no drop, and what became
// of the others counts.
func TestWhatIsLeftOfADropIsBelieved(t *testing.T) {
	t.Parallel()
	h, i, _ := usualRemoval(t)
	cve := h.truthOf(h.machine(0))[0].CVE // of those that are left
	h.change(world.Change{Op: "fix_vulnerability", CVEs: []string{cve}})
	h.both(time.Hour)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if c := findingCounts(t, run); c.Fixed == 0 || assetCounts(t, run).Removed != 0 {
		t.Errorf("%d findings are fixed: %s", c.Fixed, run.Report.Summary)
	}
	if list := h.held(i); len(list) != 1 || list[0].Kind != syncer.HeldAssets {
		t.Errorf("held: %+v", list)
	}
}

// TestAnApprovalLetsGoWhatWasSeen has one more machine be missing, before or after the last run that looked at what was approved of.
func TestAnApprovalLetsGoWhatWasSeen(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]int64{"unseen": 10, "seen": 11} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, held := usualRemoval(t)
			h.t = t
			if name == "seen" {
				h.change(leave(11))
			}
			h.both(time.Hour)
			h.mustStand(i, h.again(i, syncer.Incremental), syncer.StageAssets)
			h.approve(i, held)
			h.change(leave(11))
			h.both(time.Hour)
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			if n := assetCounts(t, run).Removed; n != want {
				t.Errorf("%d removed, want the %d that were shown: %s", n, want, run.Report.Summary)
			}
		})
	}
}

// TestAPartialReadUsesNoApprovalUp lets a list come with a record that cannot be read, before and after the approval.
func TestAPartialReadUsesNoApprovalUp(t *testing.T) {
	t.Parallel()
	h, i, held := usualRemoval(t)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	partial := func() {
		bad.path = "/api/machines"
		h.both(time.Minute)
		mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, "")
		bad.path = ""
		if list := h.held(i); len(list) != 1 || list[0].Run != held.PublicID || list[0].Latest != nil {
			t.Fatalf("held: %+v", list)
		}
	}
	partial()
	h.approve(i, held)
	partial()
	h.both(time.Minute)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 10 || len(h.held(i)) != 0 {
		t.Errorf("%d removed, want 10: %s", n, run.Report.Summary)
	}
}

// TestAHeldDropHasTheMachinesListedWhole holds a drop of a directory that is listed whole every three days.
func TestAHeldDropHasTheMachinesListedWhole(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	h.readAsIfLarge()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(10))
	h.both(73 * time.Hour)
	if run := h.again(i, syncer.Incremental); !warned(run, fault.CodeRemovalHeld) {
		t.Fatalf("not held: %s", run.Report.Summary)
	}
	h.both(7 * time.Hour)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 10 || !plan(run).Changes {
		t.Errorf("%d removed, the plan was %+v: %s", n, plan(run), run.Report.Summary)
	}
}

func (h *house) approve(i connector.Integration, held syncer.Run) {
	h.t.Helper()
	if _, err := h.store.ApproveHeldChange(h.t.Context(), i.Tenant, i.PublicID, syncer.Approval{Kind: syncer.HeldAssets, Run: held.PublicID}, h.now); err != nil {
		h.t.Fatal(err)
	}
}
