package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// mustStillHold demands that the change that was held back first is held back still, with its figures.
func (h *house) mustStillHold(held syncer.HeldChange, run, first syncer.Run, leaving int64) {
	h.t.Helper()
	mustSucceed(h.t, run)
	if held.Run != first.PublicID || held.Leaving != leaving {
		h.t.Errorf("held %d since the run %s, want %d since %s", held.Leaving, held.Run, leaving, first.PublicID)
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
			h.mustStillHold(h.held(i)[0], run, first, 10)
			if c := assetCounts(t, run); c.OutOfScope != 2 || run.Report.StageNamed(syncer.StageAssets).Held != 10 || h.inScope(h.tenant) != 10 {
				t.Errorf("two were left out and ten vanished: %s", run.Report.Summary)
			}
			h.both(time.Minute)
			run = h.again(i, syncer.Incremental)
			h.mustStillHold(h.held(i)[0], run, first, 10)
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
		h.mustStillHold(h.held(i)[0], run, first, 10)
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
