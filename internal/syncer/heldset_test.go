package syncer_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// heldSet is a house with a drop of findings held back: those of the first machines, hardly more than half of all.
func heldSet(t *testing.T) (h *house, i connector.Integration, ids []string, gone int64, cleared int) {
	h, i, ids = patientHouse(t, 20, 8)
	gone, cleared = h.clearHalf(h.openOf(ids), ids)
	h.mustHoldStill(i, "with the drop")
	return h, i, ids, gone, cleared
}

// eachSight carries out a test with such a house by each way of taking machines out of sight, and of bringing them back.
func eachSight(t *testing.T, test func(t *testing.T, h *house, i connector.Integration, ids []string, gone int64, cleared int, turn [2]func(n int) world.Change)) {
	t.Parallel()
	for name, turn := range sights {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids, gone, cleared := heldSet(t)
			test(t, h, i, ids, gone, cleared, turn)
		})
	}
}

// turn takes machines out of sight, or brings them back.
func (h *house) turn(to func(n int) world.Change, from, until int) {
	for n := from; n < until; n++ {
		h.change(to(n))
	}
}

// mustBeHeld demands how many findings are told as held back.
func (h *house) mustBeHeld(i connector.Integration, want int64, when string) {
	h.t.Helper()
	var got int64
	for _, change := range h.held(i) {
		if got += change.Leaving; change.Latest != nil {
			got = change.Latest.Leaving
		}
	}
	if got != want {
		h.t.Errorf("%s: %d held, want %d", when, got, want)
	}
}

// approveFindings approves of what is told of findings.
func (h *house) approveFindings(i connector.Integration) {
	h.t.Helper()
	a := syncer.Approval{Kind: syncer.HeldFindings, Run: h.held(i)[0].Run}
	if _, err := h.store.ApproveHeldChange(h.t.Context(), i.Tenant, i.PublicID, a, h.now); err != nil {
		h.t.Fatal(err)
	}
}

// TestSettingsLeaveWhatIsHeldAndOutOfSight raises the least severity while machines of a hold are out of sight, and lowers it once they are back.
func TestSettingsLeaveWhatIsHeldAndOutOfSight(t *testing.T) {
	eachSight(t, func(t *testing.T, h *house, i connector.Integration, ids []string, gone int64, cleared int, turn [2]func(n int) world.Change) {
		h.turn(turn[0], 0, cleared-1)
		h.mustHoldStill(i, "with most out of sight")
		least := h.integration(i).Settings.MinSeverity
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
		h.mustHoldStill(i, "with other settings")
		h.turn(turn[1], 0, cleared-1)
		h.mustHoldStill(i, "with all in sight")
		h.mustBeHeld(i, gone, "with all in sight")
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = least })
		h.mustHoldStill(i, "with the settings as they were")
		h.mustBeHeld(i, gone, "with the settings as they were")
		if n := h.openOf(ids[:cleared]); n != gone {
			t.Errorf("%d are open, want %d", n, gone)
		}
		mustLetGo(h, i)
	})
}

// TestANewDropWaitsThoughAnOldOneIsOver has most of a hold be out of sight until it could go, when most of what is left is cleared.
func TestANewDropWaitsThoughAnOldOneIsOver(t *testing.T) {
	eachSight(t, func(t *testing.T, h *house, i connector.Integration, ids []string, _ int64, cleared int, turn [2]func(n int) world.Change) {
		h.turn(turn[0], 0, cleared-1)
		h.mustHoldStill(i, "with most out of sight")
		h.both(7 * time.Hour)
		fresh := h.openOf(ids[cleared:19])
		h.clear(cleared, 19)
		run := h.asTold(i)
		h.mustBeHeld(i, fresh, "with the new drop")
		if n := h.openOf(ids[cleared:19]); n != fresh || h.held(i)[0].Run != run.PublicID {
			t.Errorf("%d are open, want %d; held: %+v", n, fresh, h.held(i))
		}
		h.turn(turn[1], 0, cleared-1)
		mustLetGo(h, i)
	})
}

// TestAnApprovalCoversWhatItShowed approves of what is in sight of a hold, and brings the rest back before and after the run that goes through with it.
func TestAnApprovalCoversWhatItShowed(t *testing.T) {
	t.Parallel()
	for when, early := range map[string]bool{"before": true, "after": false} {
		for name, turn := range sights {
			t.Run(when+", "+name, func(t *testing.T) {
				t.Parallel()
				h, i, ids, gone, cleared := heldSet(t)
				small := h.openOf(ids[cleared-1 : cleared])
				h.turn(turn[0], 0, cleared-1)
				h.mustHoldStill(i, "with most out of sight")
				h.mustBeHeld(i, small, "with most out of sight")
				h.approveFindings(i)
				if !early {
					h.asTold(i)
					h.mustBeHeld(i, 0, "once approved of")
				}
				h.turn(turn[1], 0, cleared-1)
				h.asTold(i)
				h.mustBeHeld(i, gone-small, "with all in sight")
				h.mustAllBe(ids[cleared-1], int(small), inventory.FindingFixed, "")
				if n := h.openOf(ids[:cleared-1]); n != gone-small {
					t.Errorf("%d are open, want %d", n, gone-small)
				}
				mustLetGo(h, i)
			})
		}
	}
}

// TestMergedMachinesKeepNoHoldGoing merges most machines of a hold into another one; the findings of the others are there again.
func TestMergedMachinesKeepNoHoldGoing(t *testing.T) {
	t.Parallel()
	h, i, ids, _, cleared := heldSet(t)
	for n := range cleared - 1 {
		h.change(world.Change{Op: "merge_machine", Machine: ptr(n), Into: ptr(19)})
	}
	h.asTold(i)
	h.change(world.Change{Op: "restore_findings", Machine: ptr(cleared - 1)})
	h.asTold(i)
	h.mustBeHeld(i, 0, "when all that is left is there again")
	few := int(h.openOf(ids[18:19]))
	h.clear(18, 19)
	h.asTold(i)
	h.mustBeHeld(i, 0, "with one machine that was patched")
	h.mustAllBe(ids[18], few, inventory.FindingFixed, "")
	h.mustEqualTruth(h.tenant)
}

// TestWhatElseIsAbsentWaitsWithAHold has one more machine be patched during a hold, and go with it.
func TestWhatElseIsAbsentWaitsWithAHold(t *testing.T) {
	t.Parallel()
	h, i, ids, gone, cleared := heldSet(t)
	h.both(5 * time.Hour)
	more := h.openOf(ids[cleared : cleared+1])
	h.clear(cleared, cleared+1)
	h.mustHoldStill(i, "with one more")
	h.mustBeHeld(i, gone+more, "with one more")
	h.both(2 * time.Hour)
	h.asTold(i)
	h.mustBeHeld(i, 0, "two hours later")
	h.mustEqualTruth(h.tenant)
}

// TestEachDropOfTwoWaitsForItself has a further drop met during a hold, which goes before it.
func TestEachDropOfTwoWaitsForItself(t *testing.T) {
	t.Parallel()
	h, i, ids, gone, cleared := heldSet(t)
	h.both(5 * time.Hour)
	further := h.openOf(ids[cleared:19])
	h.clear(cleared, 19)
	run := h.asTold(i)
	if held := h.held(i); len(held) != 1 || held[0].Run != run.PublicID || held[0].Leaving != gone+further {
		t.Errorf("held: %+v", held)
	}
	h.both(2 * time.Hour)
	h.asTold(i)
	h.mustBeHeld(i, further, "when the first one is over")
	if now := h.held(i)[0].Latest; now == nil || now.Before-now.Leaving != now.After {
		t.Errorf("told: %+v", now)
	}
	if n := h.openOf(ids[:cleared]); n != 0 {
		t.Errorf("%d of the first drop are open", n)
	}
	mustLetGo(h, i)
}

// meanwhile is a stage in which something happens before findings are written.
type meanwhile struct {
	syncer.DataStage
	do func()
}

func (s meanwhile) ApplyFindings(ctx context.Context, o syncer.ApplyFindings) (syncer.FindingChanges, error) {
	confirm := o.Confirm
	o.Confirm = func(c *syncer.FindingChanges) error {
		s.do()
		return confirm(c)
	}
	return s.DataStage.ApplyFindings(ctx, o)
}

// TestAnApprovalDuringARunIsNotLost approves of a hold while a run looks at it again. The machine that came into sight meanwhile was not looked at.
func TestAnApprovalDuringARunIsNotLost(t *testing.T) {
	t.Parallel()
	h, i, ids, gone, _ := heldSet(t)
	away, home := sights["missing"][0], sights["missing"][1]
	h.turn(away, 0, 1)
	h.mustHoldStill(i, "with one out of sight")
	hidden := h.openOf(ids[:1])
	h.turn(home, 0, 1)
	approving := leaky{h.store, func(s syncer.DataStage) syncer.DataStage { return meanwhile{s, func() { h.approveFindings(i) }} }}
	usual := h.syncer
	h.syncer = syncer.New(approving, h.links, syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy()}, h.logger(), silence{}, h.clock)
	h.both(time.Minute)
	mustSucceed(t, h.again(i, syncer.Incremental))
	if held := h.held(i); len(held) != 1 || held[0].ApprovedAt.IsZero() || held[0].Latest.Leaving != gone-hidden {
		t.Fatalf("held: %+v", held)
	}
	h.syncer = usual
	h.asTold(i)
	h.mustBeHeld(i, hidden, "after the run that goes through with it")
	mustLetGo(h, i)
}

// TestWhatIsThereAgainIsHeldNoMoreThoughItIsRefused has findings of a hold, and of what waits beside it, come back after the least severity was
// raised above them.
func TestWhatIsThereAgainIsHeldNoMoreThoughItIsRefused(t *testing.T) {
	t.Parallel()
	h, i, ids, gone, cleared := heldSet(t)
	beside := ids[cleared : cleared+1]
	h.clear(cleared, cleared+1)
	h.mustHoldStill(i, "with one more")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
	h.mustHoldStill(i, "with other settings")
	back := append(slices.Clone(ids[:3]), beside...)
	left := gone - h.openOf(ids[:3])
	for _, source := range back {
		h.change(world.Change{Op: "restore_findings", MachineID: source})
	}
	h.mustHoldStill(i, "with some there again")
	h.mustBeHeld(i, left, "with some there again")
	for _, source := range back {
		h.mustBeJudged(source, inventory.SeverityCritical, inventory.SeverityBelowMin)
	}
	for n := range ids {
		h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
	}
	h.asTold(i)
	h.mustBeHeld(i, 0, "with all there again")
}

// TestAnApprovalCoversWhatWaitedBesideADrop approves of a drop and of one more machine, while one of the drop is out of sight that comes back.
func TestAnApprovalCoversWhatWaitedBesideADrop(t *testing.T) {
	eachSight(t, func(t *testing.T, h *house, i connector.Integration, ids []string, gone int64, cleared int, turn [2]func(n int) world.Change) {
		hidden, more := h.openOf(ids[:1]), h.openOf(ids[cleared:cleared+1])
		h.turn(turn[0], 0, 1)
		h.clear(cleared, cleared+1)
		h.mustHoldStill(i, "with one more")
		h.mustBeHeld(i, gone-hidden+more, "with one more")
		h.approveFindings(i)
		h.turn(turn[1], 0, 1)
		h.asTold(i)
		h.mustBeHeld(i, hidden, "with all in sight")
		if n := h.openOf(ids[1 : cleared+1]); n != 0 {
			t.Errorf("%d are open that were approved of", n)
		}
		mustLetGo(h, i)
	})
}
