package syncer_test

import (
	"net/netip"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// absences are settings that take all findings out of scope, with what brings them back.
var absences = map[string][2]func(*inventory.Settings){
	"import off": {noVulnerabilities, func(s *inventory.Settings) { s.ImportVulnerabilities = true }},
	"no asset left": {
		func(s *inventory.Settings) { s.IPDeny = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }, func(s *inventory.Settings) { s.IPDeny = nil },
	},
}

// mustHoldAgain brings findings back of which so many are gone, and demands that these are held back, open as they were before.
func mustHoldAgain(t *testing.T, h *house, i connector.Integration, before, gone int64) {
	t.Helper()
	told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBeAlike(t, told, run)
	held := h.held(i)
	if len(held) != 1 || held[0].Kind != syncer.HeldFindings {
		t.Fatalf("held: %+v; %s", held, run.Report.Summary)
	}
	now := held[0].HeldReading
	if held[0].Latest != nil {
		now = *held[0].Latest
	}
	if got, want := stands(now), [3]int64{before, before - gone, gone}; got != want {
		t.Errorf("held are %d, want %d", got, want)
	}
	r := h.reconciliation(run)
	if n := run.Report.StageNamed(syncer.StageVulnerabilities); n.Held != gone || r.Open != before || r.Sum.Held != gone || r.Unexplained != 0 || n.Counts.Fixed != 0 {
		t.Errorf("%d open of %d, %d held by the run and %d by the reconciliation, which leaves %d unexplained, of %d; %d fixed",
			r.Open, before, n.Held, r.Sum.Held, r.Unexplained, gone, n.Counts.Fixed)
	}
	h.mustAudit(h.tenant)
}

// mustLetGo demands that a run six hours later agrees.
func mustLetGo(h *house, i connector.Integration) {
	h.t.Helper()
	h.both(7 * time.Hour)
	run := h.again(i, syncer.Incremental)
	mustSucceed(h.t, run)
	if held := h.held(i); len(held) != 0 {
		h.t.Errorf("held six hours later: %+v", held)
	}
	h.mustEqualTruth(h.tenant)
	h.mustNeedNothing(i)
}

// clearHalf takes away the findings of the first machines, hardly more than half of all, and counts both.
func (h *house) clearHalf(all int64, ids []string) (gone int64, machines int) {
	h.t.Helper()
	for ; gone*2 <= all; machines++ {
		gone += int64(len(h.truthOf(ids[machines])))
		h.clear(machines, machines+1)
	}
	return gone, machines
}

// eachAbsence carries out a test with twenty machines, whose findings all leave the scope by away and come back into it by home.
func eachAbsence(t *testing.T, test func(t *testing.T, h *house, i connector.Integration, ids []string, away, home func())) {
	t.Parallel()
	for name, set := range absences {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids := patientHouse(t, 20, 8)
			test(t, h, i, ids, func() {
				t.Helper()
				h.set(i, set[0])
				mustSucceed(t, h.again(i, syncer.Incremental))
				if n := h.openOf(ids); n != 0 {
					t.Fatalf("%d are open", n)
				}
			}, func() { h.set(i, set[1]) })
		})
	}
}

// TestADropWhileFindingsWereOutOfScopeIsHeldBack clears more than half of what was open, while nothing is.
func TestADropWhileFindingsWereOutOfScopeIsHeldBack(t *testing.T) {
	eachAbsence(t, func(t *testing.T, h *house, i connector.Integration, ids []string, away, home func()) {
		before := h.openOf(ids)
		away()
		gone, _ := h.clearHalf(before, ids)
		home()
		mustHoldAgain(t, h, i, before, gone)
		mustLetGo(h, i)
	})
}

// TestWhatIsHeldBackSurvivesSettingsThatAreTakenBack takes all out of scope during a hold, and in again.
func TestWhatIsHeldBackSurvivesSettingsThatAreTakenBack(t *testing.T) {
	eachAbsence(t, func(t *testing.T, h *house, i connector.Integration, ids []string, away, home func()) {
		before, gone := h.openOf(ids), h.openOf(ids[5:])
		h.clear(5, 20)
		mustHoldAgain(t, h, i, before, gone)
		away()
		home()
		mustHoldAgain(t, h, i, before, gone)
		mustHoldAgain(t, h, i, before, gone)
		mustLetGo(h, i)
	})
}

// TestAFewThatWentWhileOutOfScopeAreFixed clears less than half.
func TestAFewThatWentWhileOutOfScopeAreFixed(t *testing.T) {
	eachAbsence(t, func(t *testing.T, h *house, i connector.Integration, _ []string, away, home func()) {
		away()
		h.clear(0, 5)
		home()
		mustSucceed(t, h.again(i, syncer.Incremental))
		if held := h.held(i); len(held) != 0 {
			t.Errorf("held: %+v", held)
		}
		h.mustEqualTruth(h.tenant)
	})
}

// TestFiguresOfAHoldFitEachOtherWhenSettingsAreTakenBack raises the least severity during a hold and lowers it again: what is let in by that is
// neither among what counted nor among what would be left.
func TestFiguresOfAHoldFitEachOtherWhenSettingsAreTakenBack(t *testing.T) {
	t.Parallel()
	h, i, _ := patientHouse(t, 20, 8)
	h.clear(5, 20)
	least := h.integration(i).Settings.MinSeverity
	mustSucceed(t, h.again(i, syncer.Incremental))
	for _, severity := range []inventory.Severity{inventory.SeverityCritical, least} {
		h.set(i, func(s *inventory.Settings) { s.MinSeverity = severity })
		mustSucceed(t, h.again(i, syncer.Incremental))
		held := h.held(i)
		if len(held) != 1 || held[0].Latest == nil {
			t.Fatalf("held: %+v", held)
		}
		if now := held[0].Latest; now.Leaving == 0 || now.Before-now.Leaving != now.After {
			t.Errorf("with %v: %d", severity, stands(*now))
		}
	}
	mustLetGo(h, i)
}

// partings take the first ten machines out of sight, and bring them back.
var partings = map[string][2]func(*house, connector.Integration){
	"an address that is denied": {
		func(h *house, i connector.Integration) {
			var deny []netip.Prefix
			for n := range 10 {
				a := h.asset(h.tenant, h.machine(n))
				for _, address := range a.Addresses {
					deny = append(deny, netip.PrefixFrom(address.IP, address.IP.BitLen()))
				}
			}
			h.set(i, func(s *inventory.Settings) { s.IPDeny = deny })
		},
		func(h *house, i connector.Integration) { h.set(i, func(s *inventory.Settings) { s.IPDeny = nil }) },
	},
	"a list without them": {
		func(h *house, _ connector.Integration) { h.change(leave(10)) }, func(h *house, _ connector.Integration) { h.change(back(10)) },
	},
	"machines that are silent": {
		func(h *house, _ connector.Integration) {
			for n := range 10 {
				h.change(world.Change{Op: "touch_machine", Machine: ptr(n), LastSeenDaysAgo: 40})
			}
		},
		func(h *house, _ connector.Integration) {
			for n := range 10 {
				h.change(world.Change{Op: "touch_machine", Machine: ptr(n)})
			}
		},
	},
	"machines that are merged": {
		func(h *house, _ connector.Integration) {
			for n := range 10 {
				h.change(world.Change{Op: "merge_machine", Machine: ptr(n), Into: ptr(19)})
			}
		},
		func(h *house, _ connector.Integration) {
			for n := range 10 {
				h.change(world.Change{Op: "unmerge_machine", Machine: ptr(n)})
			}
		},
	},
}

// TestWhatIsHeldBackIsNotLetGoInParts has most of the machines with a drop go out of sight during its hold: what stays in sight of it is no
// drop by itself, and neither is what comes back.
func TestWhatIsHeldBackIsNotLetGoInParts(t *testing.T) {
	t.Parallel()
	for name, part := range partings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids := patientHouse(t, 20, 8)
			before := h.openOf(ids)
			gone, cleared := h.clearHalf(before, ids)
			mustHoldAgain(t, h, i, before, gone)
			rest := h.openOf(ids[10:cleared])
			part[0](h, i)
			for range 2 {
				h.both(time.Minute)
				run := h.again(i, syncer.Incremental)
				mustSucceed(t, run)
				s := run.Report.StageNamed(syncer.StageVulnerabilities)
				if s.Counts.Fixed != 0 || s.Held != rest || h.openOf(ids[10:cleared]) != rest {
					t.Errorf("out of sight: %d fixed, %d held, want %d: %s", s.Counts.Fixed, s.Held, rest, run.Report.Summary)
				}
			}
			part[1](h, i)
			mustHoldAgain(t, h, i, before, gone)
			mustHoldAgain(t, h, i, before, gone)
			mustLetGo(h, i)
		})
	}
}
