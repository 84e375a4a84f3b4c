package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// heldRows is a house that wants six hours between readings, and where a run by hand has just held a drop of most findings.
func heldRows(t *testing.T, build func(*house)) (h *house, again func(time.Duration) syncer.Run, held syncer.Run) {
	h = newPlainHouse(t, 12, 8)
	build(h)
	h.toMorning()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.both(time.Hour)
	before := h.snapshot(h.tenant)
	for n := range 9 {
		h.change(world.Change{Op: "remove_findings", Machine: ptr(n)})
	}
	again = func(later time.Duration) syncer.Run {
		t.Helper()
		h.both(later)
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		return run
	}
	held = again(0)
	h.mustHold(held, before)
	return h, again, held
}

// TestADropOfFindingsIsConfirmedHoursLater reads the same snapshot again seconds later, which proves nothing, and another one six hours
// after the drop was met.
func TestADropOfFindingsIsConfirmedHoursLater(t *testing.T) {
	t.Parallel()
	for name, build := range map[string]func(*house){
		"whole":   func(h *house) { h.believeAfter(syncer.DefaultRemovalPolicy()) },
		"changes": (*house).readChangesAndCountMisses,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, again, held := heldRows(t, build)
			if plan(held).Changes != (name == "changes") {
				t.Fatalf("read by %+v", plan(held))
			}
			before := h.snapshot(h.tenant)
			h.mustHold(again(time.Second), before)
			soon := again(5 * time.Hour)
			h.mustHold(soon, before)
			if list := h.held(connector.Integration{Tenant: h.tenant, PublicID: soon.IntegrationPublic}); len(list) != 1 || list[0].Kind != syncer.HeldFindings || list[0].Run != held.PublicID || list[0].Latest.Run != soon.PublicID {
				t.Errorf("held: %+v", list)
			}
			run := again(time.Hour)
			if c := findingCounts(t, run); c.Fixed == 0 || warned(run, fault.CodeRemovalHeld) {
				t.Errorf("six hours later: %s", run.Report.Summary)
			}
			h.mustEqualTruth(h.tenant)
		})
	}
}

// TestAPersonLetsADropOfFindingsThrough approves of what a run holds back: the next one goes through with it.
func TestAPersonLetsADropOfFindingsThrough(t *testing.T) {
	t.Parallel()
	h, again, held := heldRows(t, func(h *house) { h.believeAfter(syncer.DefaultRemovalPolicy()) })
	_, err := h.store.ApproveHeldChange(t.Context(), h.tenant, held.IntegrationPublic, syncer.Approval{Kind: syncer.HeldFindings, Run: held.PublicID}, h.now)
	must(t, err)
	if c := findingCounts(t, again(time.Second)); c.Fixed == 0 {
		t.Errorf("nothing was fixed: %+v", c)
	}
	if n := len(h.findings(h.tenant, inventory.FindingFixed)); n == 0 {
		t.Error("no finding is fixed")
	}
	h.mustEqualTruth(h.tenant)
}
