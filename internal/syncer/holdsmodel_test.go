package syncer_test

import (
	"time"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// judge holds a run to what the removal guard promises of findings:
//   - none is fixed that Microsoft lists, and none by a run that could not read all;
//   - none of a drop is fixed within six hours, unless somebody has approved of it after it was told;
//   - none is fixed by a reading in which more than half of what was open and not held back is absent;
//   - what a whole reading tells is what is open in sight without a row, or held back though it has one, unless machines are held back too.
func (w *holdWorld) judge(run syncer.Run, listed map[string]bool) {
	w.t.Helper()
	before, after := w.stored, w.look()
	whole := run.State == syncer.Succeeded
	var fall drop
	waiting := map[string]bool{}
	for key, now := range after {
		was, known := before[key]
		fixed := known && was.state != inventory.FindingFixed && now.state == inventory.FindingFixed
		if fixed && (listed[key] || !whole) {
			w.t.Errorf("%s is fixed, listed: %t, by a whole reading: %t", key, listed[key], whole)
		}
		if fixed && was.held && w.now.Sub(w.since[key]) < 6*time.Hour && !w.let[key] {
			w.t.Errorf("%s is fixed, held back since %v", key, w.since[key])
		}
		if now.state == inventory.FindingOpen && now.sight && (now.waits || !listed[key]) {
			waiting[key] = true
		}
		fall.count(was, now, known, fixed, listed[key])
		w.remember(key, now)
	}
	if fall.is() && fall.fixed > 0 {
		w.t.Errorf("a drop is fixed at once: %+v", fall)
	}
	w.mustTellOf(run, waiting, whole)
	w.stored = after
}

// remember notes since when a finding is held back.
func (w *holdWorld) remember(key string, now heldRow) {
	if _, held := w.since[key]; !now.held {
		delete(w.since, key)
	} else if !held {
		w.since[key] = w.now
	}
}

// mustTellOf demands that what a whole reading tells is what waits. Another one tells only what it is the first to hold back.
func (w *holdWorld) mustTellOf(run syncer.Run, waiting map[string]bool, whole bool) {
	w.t.Helper()
	if !whole {
		for _, c := range w.held(w.linked) {
			if c.Kind == syncer.HeldFindings && c.Run == run.PublicID {
				w.told = waiting
			}
		}
		return
	}
	w.let, w.told = nil, waiting
	if !w.integration(w.linked).Settings.ImportVulnerabilities {
		w.told = nil
	}
	held := run.Report.StageNamed(syncer.StageVulnerabilities).Held
	w.mustBeHeldOf(run, held)
	if run.Report.StageNamed(syncer.StageAssets).Held > 0 {
		return // machines that wait themselves are not looked at, and not told from those that are
	}
	if held != int64(len(w.told)) {
		w.t.Errorf("the run held %d back, %d wait", held, len(w.told))
	}
}

// mustBeHeldOf demands how many findings are told by that run.
func (w *holdWorld) mustBeHeldOf(run syncer.Run, want int64) {
	w.t.Helper()
	var got syncer.HeldReading
	for _, c := range w.held(w.linked) {
		if c.Kind != syncer.HeldFindings {
			continue
		}
		if got = c.HeldReading; c.Latest != nil {
			got = *c.Latest
		}
	}
	if got.Leaving != want || want > 0 && got.Run != run.PublicID {
		w.t.Errorf("%d are told by %s, want %d by %s", got.Leaving, got.Run, want, run.PublicID)
	}
}

// drop counts what a reading found of findings that were not held back.
type drop struct{ open, absent, fresh, fixed int }

func (d *drop) is() bool { return (d.open-d.absent+d.fresh)*2 < d.open }

func (d *drop) count(was, now heldRow, known, fixed, listed bool) {
	open := now.state == inventory.FindingOpen && now.sight
	switch {
	case was.held:
	case fixed:
		d.open++
		d.absent++
		d.fixed++
	case open && !listed:
		d.open++
		d.absent++
	case open && known && was.state == inventory.FindingOpen:
		d.open++
	case open:
		d.fresh++
	}
}
