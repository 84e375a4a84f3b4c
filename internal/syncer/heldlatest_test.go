package syncer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// mustStand demands that what is held back is told as the run found it, everywhere by the same figures.
func (h *house) mustStand(i connector.Integration, run syncer.Run, stage syncer.Stage) syncer.HeldReading {
	h.t.Helper()
	mustSucceed(h.t, run)
	held := h.held(i)
	if len(held) != 1 || held[0].Latest == nil {
		h.t.Fatalf("held, with no latest: %+v; %s", held, run.Report.Summary)
	}
	now := *held[0].Latest
	if n := run.Report.StageNamed(stage).Held; now.Run != run.PublicID || now.Leaving != n || n == 0 || int64(len(now.Samples)) != min(n, 50) || !now.At.After(held[0].At) {
		h.t.Errorf("%+v stands; the run holds back %d", now, n)
	}
	want := fmt.Sprintf("%d of %d %s", now.Leaving, now.Before, held[0].Kind)
	current := h.integration(i)
	if w := current.HeldWarnings(); len(w) != 1 || !strings.Contains(w[0].Detail, want) {
		h.t.Errorf("the warnings %v lack %q", w, want)
	}
	return now
}

// stands are the figures alone.
func stands(r syncer.HeldReading) [3]int64 { return [3]int64{r.Before, r.After, r.Leaving} }

// TestAHeldChangeTellsWhatTheLastRunFound has one more machine go missing. Dry runs and those that cannot read all look at nothing, and
// an approval keeps what was looked at.
func TestAHeldChangeTellsWhatTheLastRunFound(t *testing.T) {
	t.Parallel()
	h, i, first := usualRemoval(t)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	idle := func() {
		t.Helper()
		h.both(time.Minute)
		h.preview(i, syncer.Incremental, h.integration(i).Settings)
		bad.path = "/api/machines"
		mustEnd(t, h.again(i, syncer.Incremental), syncer.PartiallySucceeded, "")
		bad.path = ""
	}
	idle()
	if held := h.held(i); held[0].Latest != nil || stands(held[0].HeldReading) != [3]int64{12, 2, 10} {
		t.Fatalf("held: %+v", held)
	}
	h.change(leave(11))
	h.both(time.Minute)
	second := h.again(i, syncer.Incremental)
	if now := h.mustStand(i, second, syncer.StageAssets); stands(now) != [3]int64{12, 1, 11} {
		t.Errorf("latest: %+v", now)
	}
	h.change(leave(12))
	idle()
	h.change(back(12), leave(11))
	h.approve(i, first)
	idle()
	held := h.held(i)
	if len(held) != 1 || held[0].Run != first.PublicID || held[0].ApprovedAt.IsZero() || stands(held[0].HeldReading) != [3]int64{12, 2, 10} {
		t.Errorf("held: %+v", held)
	}
	if now := h.mustStand(i, second, syncer.StageAssets); stands(now) != [3]int64{12, 1, 11} {
		t.Errorf("latest, once approved of: %+v", now)
	}
	h.both(time.Minute)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 11 || len(h.held(i)) != 0 {
		t.Errorf("%d removed, want 11: %s", n, run.Report.Summary)
	}
}

// TestAFurtherDropHasNotBeenLookedAt replaces a held change that a later run has looked at.
func TestAFurtherDropHasNotBeenLookedAt(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 20, 4)
	h.believeAfter(syncer.DefaultRemovalPolicy())
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	var run syncer.Run
	for _, gone := range []int{12, 13, 18} {
		h.change(leave(gone))
		h.both(time.Minute)
		run = h.again(i, syncer.Incremental)
		mustSucceed(t, run)
	}
	held := h.held(i)
	if len(held) != 1 || held[0].Run != run.PublicID || held[0].Latest != nil || stands(held[0].HeldReading) != [3]int64{20, 2, 18} {
		t.Errorf("held: %+v", held)
	}
}

// TestWhatNewSettingsRefuseIsHeldNoMore has ten of twelve machines held back, of which two are listed still, until the settings refuse them.
func TestWhatNewSettingsRefuseIsHeldNoMore(t *testing.T) {
	t.Parallel()
	h := grouped(t)
	i := h.connect(h.tenant, oneGroup)
	mustSucceed(t, h.work())
	h.change(append(regroup(8, 10, other), leave(8))...)
	h.both(time.Hour)
	first := h.again(i, syncer.Incremental)
	h.mustStillHold(i, first, first, 10)
	h.set(i, func(s *inventory.Settings) { s.TagsExclude = []string{"no such tag"} })
	h.both(time.Minute)
	run := h.again(i, syncer.Incremental)
	h.mustStillHold(i, run, first, 10)
	if now := h.mustStand(i, run, syncer.StageAssets); stands(now) != [3]int64{10, 2, 8} || assetCounts(t, run).OutOfScope != 2 {
		t.Errorf("latest %+v: %s", now, run.Report.Summary)
	}
}

// TestNoFindingIsHeldWhileTheirImportIsOff switches the import off while most findings are held back, and on again.
func TestNoFindingIsHeldWhileTheirImportIsOff(t *testing.T) {
	t.Parallel()
	h, again, first := heldRows(t, func(h *house) { h.believeAfter(syncer.DefaultRemovalPolicy()) })
	i := connector.Integration{ID: first.IntegrationID, Tenant: h.tenant, PublicID: first.IntegrationPublic}
	met := h.held(i)[0]
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = false })
	run := again(time.Minute)
	current := h.integration(i)
	if held, warnings := h.held(i), current.HeldWarnings(); len(held) != 0 || len(warnings) != 0 {
		t.Errorf("held while nothing is open: %+v, warnings %v; %s", held, warnings, run.Report.Summary)
	}
	if _, err := h.store.ApproveHeldChange(t.Context(), h.tenant, i.PublicID, syncer.Approval{Kind: syncer.HeldFindings, Run: first.PublicID}, h.now); !fault.Is(err, fault.CodeConflict) {
		t.Errorf("approving of what is not held: %v", err)
	}
	h.set(i, func(s *inventory.Settings) { s.ImportVulnerabilities = true })
	now := h.mustStand(i, again(time.Minute), syncer.StageVulnerabilities)
	if held := h.held(i)[0]; held.Run != first.PublicID || stands(held.HeldReading) != stands(met.HeldReading) || now.Leaving != met.Leaving {
		t.Errorf("once it is on again: %+v, latest %+v", held, now)
	}
}

// TestHeldFindingsAreThoseOfTheLastRun has rows of one machine come back, and then leaves out all but critical findings.
func TestHeldFindingsAreThoseOfTheLastRun(t *testing.T) {
	t.Parallel()
	h, again, first := heldRows(t, func(h *house) { h.believeAfter(syncer.DefaultRemovalPolicy()) })
	i := connector.Integration{ID: first.IntegrationID, Tenant: h.tenant, PublicID: first.IntegrationPublic}
	met := h.held(i)[0]
	if n := first.Report.StageNamed(syncer.StageVulnerabilities).Held; met.Leaving != n || met.Latest != nil {
		t.Fatalf("the run holds back %d, held: %+v", n, met)
	}
	h.change(world.Change{Op: "restore_findings", Machine: ptr(8)})
	fewer := h.mustStand(i, again(time.Minute), syncer.StageVulnerabilities)
	if fewer.Leaving >= met.Leaving || fewer.Before != met.Before || fewer.After != met.Before-fewer.Leaving {
		t.Errorf("latest %+v, met %+v", fewer, met.HeldReading)
	}
	h.set(h.integration(i), func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
	run := again(time.Minute)
	now := h.mustStand(i, run, syncer.StageVulnerabilities)
	if c := findingCounts(t, run); c.OutOfScope == 0 || now.Before != met.Before-c.OutOfScope || now.Leaving != fewer.Leaving {
		t.Errorf("latest %+v after %+v: %s", now, fewer, run.Report.Summary)
	}
	if held := h.held(i); held[0].Run != first.PublicID || stands(held[0].HeldReading) != stands(met.HeldReading) {
		t.Errorf("held: %+v", held)
	}
}
