package syncer_test

import (
	"context"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/syncer"
)

// applied is a stage in which something happens once machines are written, or once findings are and are to be compared with Defender's counts.
type applied struct {
	syncer.DataStage
	of syncer.Stage
	do func()
}

func (s applied) ApplyMachines(ctx context.Context, o syncer.ApplyMachines) (syncer.MachineChanges, error) {
	c, err := s.DataStage.ApplyMachines(ctx, o)
	if s.of == syncer.StageAssets {
		s.do()
	}
	return c, err
}

func (s applied) Holdings(ctx context.Context) (syncer.Holdings, error) {
	if s.of == syncer.StageVulnerabilities {
		s.do()
	}
	return s.DataStage.Holdings(ctx)
}

// endAfter has a run end as soon as a stage of it is written, before it has remembered what it learnt: somebody cancels it, or its process
// stops, and another one that has none of its pages goes on.
func (h *house) endAfter(i connector.Integration, mode syncer.Mode, of syncer.Stage, cancel bool) {
	h.t.Helper()
	run, err := h.store.StartRun(h.t.Context(), i.Tenant, i.PublicID, mode)
	if err != nil {
		h.t.Fatal(err)
	}
	ctx, end := context.WithCancelCause(h.t.Context())
	ending := leaky{h.store, func(s syncer.DataStage) syncer.DataStage {
		return applied{s, of, func() {
			if !cancel {
				end(job.ErrStopping)
				return
			}
			if _, err := h.store.CancelRun(h.t.Context(), i.Tenant, run.PublicID); err != nil {
				h.t.Error(err)
			}
			end(job.ErrCancelled)
		}}
	}}
	policy := syncer.DefaultReportPolicy()
	policy.WholeRows = 0
	o := syncer.Options{SpoolDir: h.t.TempDir(), Report: policy, Removal: syncer.DefaultRemovalPolicy()}
	j := h.claim()
	if err := h.store.Finish(h.t.Context(), j, syncer.New(ending, h.links, o, h.logger(), silence{}, h.clock).Handle(ctx, j)); err != nil {
		h.t.Fatal(err)
	}
}

// readInPart is a house that reads its directory in part, after the first time.
func readInPart(t *testing.T, build func(*house)) (h *house, i connector.Integration, ids []string) {
	h = newPlainHouse(t, 20, 8)
	build(h)
	h.toMorning()
	i = h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	for n := range 20 {
		ids = append(ids, h.machine(n))
	}
	h.both(20 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	return h, i, ids
}

// TestAHoldIsLookedAtThoughItsRunEndedEarly has a run that holds a drop back end before it could tell that the next reading has to be whole. The
// next one finds all there again, so that the same drop is a new one hours later.
func TestAHoldIsLookedAtThoughItsRunEndedEarly(t *testing.T) {
	t.Parallel()
	for name, cancel := range map[string]bool{"cancelled": true, "stopped": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids := readInPart(t, (*house).readChangesAndCountMisses)
			away, home := sights["missing"][0], sights["missing"][1]
			h.turn(away, 19, 20)
			h.both(time.Hour)
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.both(time.Hour)
			h.turn(home, 19, 20) // the report is read whole for it
			gone, cleared := h.clearHalf(h.openOf(ids), ids)
			h.endAfter(i, syncer.Incremental, syncer.StageVulnerabilities, cancel)
			for n := range cleared {
				h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
			}
			h.both(time.Hour)
			if cancel {
				mustSucceed(t, h.again(i, syncer.Incremental))
			} else {
				mustSucceed(t, h.work())
			}
			if n := h.number(`select count(*) from finding where held_since is not null`); n != 0 {
				t.Errorf("%d findings are held back that are there again", n)
			}
			h.both(7 * time.Hour)
			h.clear(0, cleared)
			mustSucceed(t, h.again(i, syncer.Incremental))
			h.mustBeHeld(i, gone, "with the second drop")
		})
	}
}

// TestAListIsWholeAgainThoughTheRunThatHeldItEndedEarly has a run that holds machines back end before it could tell that the next list has to
// be whole.
func TestAListIsWholeAgainThoughTheRunThatHeldItEndedEarly(t *testing.T) {
	t.Parallel()
	h, i, _ := readInPart(t, (*house).readAsIfLarge)
	h.change(world.Change{Op: "remove_machines", From: 3, To: 20})
	h.endAfter(i, syncer.Full, syncer.StageAssets, true)
	if held := h.held(i); len(held) != 1 || held[0].Kind != syncer.HeldAssets {
		t.Fatalf("held: %+v", held)
	}
	h.change(world.Change{Op: "restore_machines", From: 3, To: 20})
	h.both(time.Hour)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if held := h.held(i); len(held) != 0 || run.Report.StageNamed(syncer.StageAssets).Partial {
		t.Errorf("held when all are back: %+v; %s", held, run.Report.Summary)
	}
}

// TestNarrowSettingsHideNoDrop has all be gone that narrower settings still take.
func TestNarrowSettingsHideNoDrop(t *testing.T) {
	t.Parallel()
	h, i, _ := patientHouse(t, 20, 8)
	left := h.number(`select count(*) from finding where state = 1 and severity = 4`)
	for n := range 20 {
		if cves := h.criticalOf(n); len(cves) > 0 {
			h.change(world.Change{Op: "remove_findings", Machine: ptr(n), CVEs: cves})
		}
	}
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
	h.mustHoldStill(i, "with narrow settings")
	h.mustBeHeld(i, left, "with narrow settings")
}

// TestWhatTheMappingShowsIsHeldNoMoreThoughItIsRefused has all of a drop be there again for a reading that tells too little to judge by, when the
// settings refuse it, and gone again for the next whole one by the settings as they were.
func TestWhatTheMappingShowsIsHeldNoMoreThoughItIsRefused(t *testing.T) {
	t.Parallel()
	h, i, _, gone, cleared := heldSet(t)
	least := h.integration(i).Settings.MinSeverity
	h.both(3 * time.Hour)
	for n := range cleared {
		h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
	}
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
	for _, route := range []string{"software_vulnerabilities", "software_vulnerabilities_export"} {
		h.fault(defendersim.Fault{Route: route, Status: 404})
	}
	mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, "")
	h.sim.ClearFaults()
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = least })
	h.clear(0, cleared)
	h.both(4 * time.Hour)
	h.mustHoldStill(i, "with the second drop")
	h.mustBeHeld(i, gone, "with the second drop")
	mustLetGo(h, i)
}
