package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// ratedHouse is a house that takes nothing below a severity and that hears at once of what Microsoft rates otherwise.
func ratedHouse(t *testing.T, least inventory.Severity) (h *house, i connector.Integration, ids []string) {
	h, i, ids = patientHouse(t, 20, 8)
	catalogue := syncer.DefaultCataloguePolicy()
	catalogue.MaxAge = 0
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Catalogue: catalogue}, h.logger(), silence{}, h.clock)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = least })
	mustSucceed(t, h.again(i, syncer.Incremental))
	return h, i, ids
}

// thin takes two thirds of its findings from each machine, and tells the vulnerabilities of the others.
func (h *house) thin(ids []string) (left []string) {
	h.t.Helper()
	for _, source := range ids {
		var gone []string
		for n, f := range h.truthOf(source) {
			if n%3 == 0 {
				left = append(left, f.CVE)
			} else {
				gone = append(gone, f.CVE)
			}
		}
		h.change(world.Change{Op: "remove_findings", MachineID: source, CVEs: gone})
	}
	return left
}

// rateLow has Microsoft rate vulnerabilities as low.
func (h *house) rateLow(cves []string) {
	h.t.Helper()
	h.change(world.Change{Op: "rate_vulnerability", CVEs: cves, Severity: "low"})
}

// readPartly is a run that cannot read some rows: those that spoils names, or the third of each page.
func (h *house) readPartly(i connector.Integration, spoils func(record map[string]any) bool) syncer.Run {
	h.t.Helper()
	h.both(time.Minute)
	return h.partly(spoils, func() syncer.Run { return h.again(i, syncer.Incremental) })
}

// partly carries out a run that cannot read some rows.
func (h *house) partly(spoils func(record map[string]any) bool, carryOut func() syncer.Run) syncer.Run {
	h.t.Helper()
	usual := h.server.Config.Handler
	h.server.Config.Handler = &spoiler{next: usual, path: "/api/machines/SoftwareVulnerabilitiesByMachine", spoils: spoils}
	defer func() { h.server.Config.Handler = usual }()
	run := carryOut()
	mustEnd(h.t, run, syncer.PartiallySucceeded, "")
	return run
}

// TestADropInAPartialReadingWaitsWithAHold has Microsoft rate all that a hold leaves as low, and a run meet that which cannot read all rows.
func TestADropInAPartialReadingWaitsWithAHold(t *testing.T) {
	t.Parallel()
	h, i, ids := ratedHouse(t, inventory.SeverityMedium)
	all, left := h.openOf(ids), h.thin(ids)
	h.mustHoldStill(i, "with the drop")
	told := h.held(i)[0].Leaving
	h.approveFindings(i)
	h.rateLow(left)
	h.readPartly(i, nil)
	if n := h.openOf(ids); n != all {
		t.Errorf("%d are open, were %d", n, all)
	}
	h.asTold(i)
	if n := h.openOf(ids); n != all-told {
		t.Errorf("%d are open of %d, of which somebody let %d go", n, all, told)
	}
	h.mustBeHeld(i, all-told, "what nobody was told of")
}

// TestADropInAPartialReadingIsTold has it met when all that was held back is out of sight, but for a machine that has just come back: that it has
// no findings such a reading does not show, and so an approval does not cover them.
func TestADropInAPartialReadingIsTold(t *testing.T) {
	t.Parallel()
	h, i, ids := ratedHouse(t, inventory.SeverityMedium)
	const cleared = 13
	h.clear(0, cleared)
	h.mustHoldStill(i, "with the drop")
	for _, machines := range [][2]int{{0, 7}, {7, cleared}} { // not most at once, which would be a drop of assets
		h.turn(sights["stale"][0], machines[0], machines[1])
		h.both(time.Minute)
		h.asTold(i)
	}
	h.mustBeHeld(i, 0, "with all of it out of sight")
	h.turn(sights["stale"][1], 0, 1)
	early, rest := h.openOf(ids[:1]), h.openOf(ids[cleared:])
	var left []string
	for _, source := range ids[cleared:] {
		for _, f := range h.truthOf(source) {
			left = append(left, f.CVE)
		}
	}
	h.rateLow(left)
	h.readPartly(i, nil)
	if n := h.openOf(ids[cleared:]); n != rest {
		t.Fatalf("%d are open, were %d", n, rest)
	}
	if held := h.held(i); len(held) != 1 || held[0].Leaving < rest-20 { // but for the rows that could not be read
		t.Fatalf("held: %+v", held)
	}
	h.approveFindings(i)
	h.both(time.Minute)
	h.asTold(i)
	if n := h.openOf(ids[:1]); n != early {
		t.Errorf("%d are open of %d that nobody was told of when they came into sight", n, early)
	}
}

// TestWhatAPartialReadingShowsIsHeldNoMore has all that a drop took be there again for a run that cannot read the rows of another machine, and
// gone again for the next one: that is a drop of its own.
func TestWhatAPartialReadingShowsIsHeldNoMore(t *testing.T) {
	t.Parallel()
	for name, approved := range map[string]bool{"approved": true, "by itself": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i, ids, gone, cleared := heldSet(t)
			if approved {
				h.approveFindings(i)
			} else {
				h.both(5 * time.Hour)
			}
			for n := range cleared {
				h.change(world.Change{Op: "restore_findings", Machine: ptr(n)})
			}
			h.readPartly(i, func(record map[string]any) bool { return record["deviceId"] == ids[19] })
			h.clear(0, cleared)
			if !approved {
				h.both(2 * time.Hour)
			}
			h.mustHoldStill(i, "with the second drop")
			h.mustBeHeld(i, gone, "with the second drop")
			mustLetGo(h, i)
		})
	}
}

// TestSettingsDecideAfterAPartialReading narrows the settings after a reading that was not whole, which was the first one, or the first by wider
// settings: what those refuse is no drop.
func TestSettingsDecideAfterAPartialReading(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"the first one": true, "by wider settings": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newPlainHouse(t, 20, 8)
			h.believeAfter(syncer.DefaultRemovalPolicy())
			least := inventory.SeverityLow
			if !first {
				least = inventory.SeverityCritical
			}
			i := h.connect(h.tenant, func(s *inventory.Settings) { s.MinSeverity = least })
			if first {
				h.partly(nil, h.work)
			} else {
				mustSucceed(t, h.work())
				h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityLow })
				h.readPartly(i, nil)
			}
			h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityCritical })
			h.both(time.Minute)
			h.asTold(i)
			h.mustBeHeld(i, 0, "with narrow settings")
			if n := h.number(`select count(*) from finding where state = 1 and severity < 4`); n != 0 {
				t.Errorf("%d findings are open that are not critical", n)
			}
		})
	}
}
