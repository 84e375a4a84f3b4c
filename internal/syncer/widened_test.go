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

const (
	kept  = 2 // Servers
	other = 4 // Engineering
)

// regroup moves the machines from first up to end to a device group.
func regroup(first, end, group int) (changes []world.Change) {
	for n := first; n < end; n++ {
		changes = append(changes, world.Change{Op: "regroup_machine", Machine: ptr(n), Group: ptr(group)})
	}
	return changes
}

// grouped is a house that lets one device group of 12 machines count, out of 40, and that holds a drop of 10 of those.
func grouped(t *testing.T) *house {
	h := newPlainHouse(t, 40, 4)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	h.change(regroup(0, 12, kept)...)
	h.change(regroup(12, 40, other)...)
	return h
}

// narrowed is grouped, with 12 machines of one group in scope and the others not any more.
func narrowed(t *testing.T) (*house, connector.Integration) {
	h := grouped(t)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.set(i, oneGroup)
	mustSucceed(t, h.again(i, syncer.Incremental))
	return h, i
}

func oneGroup(s *inventory.Settings)  { s.DeviceGroups = []string{"Servers"} }
func allGroups(s *inventory.Settings) { s.DeviceGroups = nil }

// widened has ten of twelve machines of a group leave, which the first of its runs holds back, and then takes all groups.
func widened(t *testing.T) (h *house, i connector.Integration, first syncer.Run) {
	t.Helper()
	h = grouped(t)
	i = h.connect(h.tenant, oneGroup)
	mustSucceed(t, h.work())
	h.change(leave(10))
	h.both(time.Hour)
	first = h.again(i, syncer.Incremental)
	h.set(i, allGroups)
	return h, i, first
}

// TestAWiderFilterDuringAHoldIsNoRecovery takes in more machines than are held back: those that vanished wait even so, and what
// somebody looked at can be approved of.
func TestAWiderFilterDuringAHoldIsNoRecovery(t *testing.T) {
	t.Parallel()
	for name, approve := range map[string]bool{"late": false, "approved": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, first := widened(t)
			for range 2 {
				h.both(time.Minute)
				run := h.again(i, syncer.Incremental)
				h.mustStillHold(i, run, first, 10)
			}
			if approve {
				h.approve(i, first)
			} else {
				h.both(6 * time.Hour)
			}
			run := h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			if n := assetCounts(t, run).Removed; n != 10 || len(h.held(i)) != 0 {
				t.Errorf("%d removed, held %+v: %s", n, h.held(i), run.Report.Summary)
			}
			h.mustEqualTruthButStale()
		})
	}
}

// TestAWiderFilterHidesNoDrop widens the filter in the run that meets the drop.
func TestAWiderFilterHidesNoDrop(t *testing.T) {
	t.Parallel()
	t.Run("assets", func(t *testing.T) {
		t.Parallel()
		h := grouped(t)
		i := h.connect(h.tenant, oneGroup)
		mustSucceed(t, h.work())
		h.change(leave(10))
		h.set(i, allGroups)
		run := h.again(i, syncer.Incremental)
		h.mustStillHold(i, run, run, 10)
		if n := h.inScope(h.tenant); n != 40 {
			t.Errorf("%d assets in scope, want 12 and 28 new ones", n)
		}
	})
	t.Run("findings", func(t *testing.T) {
		t.Parallel()
		h := newPlainHouse(t, 12, 8)
		i := h.connect(h.tenant, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
		mustSucceed(t, h.work())
		for n := range 11 {
			h.change(world.Change{Op: "remove_findings", Machine: ptr(n), CVEs: h.criticalOf(n)})
		}
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityLow })
		run := h.again(i, syncer.Incremental)
		mustSucceed(t, run)
		if c := findingCounts(t, run); c.Created == 0 || c.Fixed != 0 || !warned(run, fault.CodeRemovalHeld) {
			t.Errorf("%d created, %d fixed: %s", c.Created, c.Fixed, run.Report.Summary)
		}
	})
}

// criticalOf are the critical vulnerabilities of a machine.
func (h *house) criticalOf(machine int) (cves []string) {
	for cve, f := range h.findingsOf(h.tenant, h.machine(machine)) {
		if f.Severity == inventory.SeverityCritical {
			cves = append(cves, cve)
		}
	}
	return cves
}

// TestADropAfterAFilterThatWasTakenBackIsAFurtherOne has what the filter had left out vanish once it is in again.
func TestADropAfterAFilterThatWasTakenBackIsAFurtherOne(t *testing.T) {
	t.Parallel()
	h, i, first := usualRemoval(t)
	for _, tags := range [][]string{{"no such tag"}, nil} {
		h.set(i, func(s *inventory.Settings) { s.TagsInclude = tags })
		h.both(time.Minute)
		mustSucceed(t, h.again(i, syncer.Incremental))
	}
	h.approve(i, first)
	h.change(leave(12))
	h.both(6 * time.Hour)
	run := h.again(i, syncer.Incremental)
	h.mustStillHold(i, run, run, 12)
	if n := h.inScope(h.tenant); n != 12 {
		t.Errorf("%d assets in scope, want all", n)
	}
}

// TestRulesForRowsChooseNoMachines changes the least severity while machines are held back that have lost their device group.
func TestRulesForRowsChooseNoMachines(t *testing.T) {
	t.Parallel()
	h := grouped(t)
	i := h.connect(h.tenant, oneGroup)
	mustSucceed(t, h.work())
	h.change(regroup(0, 10, other)...)
	h.both(time.Hour)
	first := h.again(i, syncer.Incremental)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	h.both(time.Minute)
	run := h.again(i, syncer.Incremental)
	h.mustStillHold(i, run, first, 10)
	if n := h.inScope(h.tenant); n != 12 {
		t.Errorf("%d assets in scope, want all", n)
	}
}
