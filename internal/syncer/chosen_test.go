package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// mustStillHold demands that the run holds back what the first one met, all but what is gone of 12 assets, with its figures; and that a
// later run's are told beside them.
func (h *house) mustStillHold(i connector.Integration, run, first syncer.Run, leaving int64) {
	h.t.Helper()
	mustSucceed(h.t, run)
	held := h.held(i)
	if len(held) != 1 || held[0].Run != first.PublicID || held[0].Before != 12 || held[0].After != 12-leaving || held[0].Leaving != leaving {
		h.t.Fatalf("held %+v, want %d of 12 since the run %s: %s", held, leaving, first.PublicID, run.Report.Summary)
	}
	if run.PublicID != first.PublicID {
		h.mustStand(i, run, syncer.StageAssets)
	} else if held[0].Latest != nil {
		h.t.Errorf("a change that was just met has been looked at: %+v", held[0].Latest)
	}
}

// TestAFilterDuringAHoldIsNoFurtherDrop has the customer leave out what did arrive, while what vanished is held back.
func TestAFilterDuringAHoldIsNoFurtherDrop(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(h *house){"late": func(h *house) { h.both(6 * time.Hour) }, "approved": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, first := usualRemoval(t)
			h.t = t
			h.set(i, func(s *inventory.Settings) { s.TagsInclude = []string{"no such tag"} })
			h.both(time.Minute)
			run := h.again(i, syncer.Incremental)
			h.mustStillHold(i, run, first, 10)
			if c := assetCounts(t, run); c.OutOfScope != 2 || run.Report.StageNamed(syncer.StageAssets).Held != 10 || h.inScope(h.tenant) != 10 {
				t.Errorf("two were left out and ten vanished: %s", run.Report.Summary)
			}
			h.both(time.Minute)
			run = h.again(i, syncer.Incremental)
			h.mustStillHold(i, run, first, 10)
			if end == nil {
				h.approve(i, first)
			} else {
				end(h)
			}
			run = h.again(i, syncer.Incremental)
			mustSucceed(t, run)
			if assetCounts(t, run).Removed != 10 || h.inScope(h.tenant) != 0 {
				t.Errorf("in the end: %s", run.Report.Summary)
			}
			h.both(time.Minute)
			mustSucceed(t, h.again(i, syncer.Incremental))
			if n := len(h.held(i)); n != 0 {
				t.Errorf("%d changes are held", n)
			}
		})
	}
}

// TestAFilterThatIsTakenBackDuringAHold returns what was left out, and leaves the hold as it was.
func TestAFilterThatIsTakenBackDuringAHold(t *testing.T) {
	t.Parallel()
	h, i, first := usualRemoval(t)
	for _, tags := range [][]string{{"no such tag"}, nil} {
		h.set(i, func(s *inventory.Settings) { s.TagsInclude = tags })
		h.both(time.Minute)
		run := h.again(i, syncer.Incremental)
		h.mustStillHold(i, run, first, 10)
	}
	if n := h.inScope(h.tenant); n != 12 {
		t.Errorf("%d assets in scope, want all again", n)
	}
	h.both(6 * time.Hour)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruthButStale()
}

// TestAFilterOnRowsDuringAHoldIsNoFurtherDrop is the same for findings.
func TestAFilterOnRowsDuringAHoldIsNoFurtherDrop(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	open := `select count(*) from finding where tenant_id = $1 and state = 1`
	before := h.number(open, h.tenant)
	for n := range 10 {
		h.change(world.Change{Op: "remove_findings", Machine: ptr(n)})
	}
	first := h.again(i, syncer.Incremental)
	mustSucceed(t, first)
	leaving := h.held(i)[0].Leaving
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
	run := h.again(i, syncer.Incremental)
	refused := findingCounts(t, run).OutOfScope
	if refused == 0 {
		t.Fatal("the filter leaves nothing out: the test shows nothing")
	}
	// Without a wait between readings the second one agrees, so all that vanished goes, and nothing is held anew.
	mustSucceed(t, run)
	if fixed := findingCounts(t, run).Fixed; fixed != leaving || h.number(open, h.tenant) != before-leaving-refused {
		t.Errorf("%d of %d vanished findings were fixed, %d left out: %s", fixed, leaving, refused, run.Report.Summary)
	}
	if again := h.again(i, syncer.Incremental); !again.Report.NoChanges || len(h.held(i)) != 0 {
		t.Errorf("afterwards: %s, held %+v", again.Report.Summary, h.held(i))
	}
}

// TestAPartialReadThatRefusesAMachineUsesNoApprovalUp has a machine lose its group in a list with a record that cannot be read.
func TestAPartialReadThatRefusesAMachineUsesNoApprovalUp(t *testing.T) {
	t.Parallel()
	h := grouped(t)
	bad := &spoiler{next: h.server.Config.Handler}
	h.server.Config.Handler = bad
	i := h.connect(h.tenant, oneGroup)
	mustSucceed(t, h.work())
	h.change(leave(10))
	h.both(time.Hour)
	first := h.again(i, syncer.Incremental)
	h.approve(i, first)
	h.change(regroup(11, 12, other)...)
	h.both(time.Minute)
	bad.path = "/api/machines"
	run := h.again(i, syncer.Incremental)
	mustEnd(t, run, syncer.PartiallySucceeded, "")
	if held := h.held(i); len(held) != 1 || held[0].Run != first.PublicID || held[0].ApprovedAt.IsZero() || h.inScope(h.tenant) != 12 {
		t.Fatalf("%d in scope, held %+v: %s", h.inScope(h.tenant), held, run.Report.Summary)
	}
	bad.path = ""
	h.both(time.Minute)
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if n := assetCounts(t, run).Removed; n != 10 || len(h.held(i)) != 0 {
		t.Errorf("%d removed, want 10: %s", n, run.Report.Summary)
	}
}
