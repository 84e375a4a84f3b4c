package syncer_test

import (
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// mustAllGo demands that nothing of the machines is open once a hold is over.
func (h *house) mustAllGo(i connector.Integration, ids []string) {
	h.t.Helper()
	h.both(7 * time.Hour)
	h.asTold(i)
	if n := h.openOf(ids); n != 0 {
		h.t.Errorf("%d are open six hours later", n)
	}
	h.mustBeHeld(i, 0, "six hours later")
	h.mustNeedNothing(i)
}

// TestWhatMicrosoftRefusesIsHeldThoughSettingsHadChanged changes the settings during a hold, and has Microsoft rate lower what is left when a
// run has gone by them.
func TestWhatMicrosoftRefusesIsHeldThoughSettingsHadChanged(t *testing.T) {
	t.Parallel()
	h, i, ids := ratedHouse(t, inventory.SeverityLow)
	left := h.thin(ids)
	h.mustHoldStill(i, "with the drop")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityMedium })
	h.mustHoldStill(i, "with other settings")
	all := h.openOf(ids)
	h.rateLow(left)
	for range 2 {
		h.mustHoldStill(i, "with what is left rated as low")
		h.mustBeHeld(i, all, "with what is left rated as low")
		if n := h.openOf(ids); n != all {
			t.Errorf("%d are open, were %d", n, all)
		}
	}
	h.mustAllGo(i, ids)
}

// TestFiguresOfAHoldFitWhenWhatIsLeftIsRefused takes settings back with the run that meets that Microsoft rates lower what is left.
func TestFiguresOfAHoldFitWhenWhatIsLeftIsRefused(t *testing.T) {
	t.Parallel()
	h, i, ids := ratedHouse(t, inventory.SeverityMedium)
	left := h.thin(ids)
	h.mustHoldStill(i, "with the drop")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	h.mustHoldStill(i, "with other settings")
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityMedium })
	h.rateLow(left)
	h.mustHoldStill(i, "with the settings as they were")
	now := syncer.HeldReading{Before: -1}
	if held := h.held(i); len(held) == 1 && held[0].Latest != nil {
		now = *held[0].Latest
	}
	if now.Leaving == 0 || now.Before-now.Leaving != now.After {
		t.Errorf("held: %d", stands(now))
	}
	h.mustAllGo(i, ids)
}

// TestWhatMicrosoftRefusesIsHeldBehindAReadingOfChanges raises the least severity, which a reading of changes applies to all that is stored, and
// has Microsoft rate lower most of what is left then: the settings have had their say, and the guard its own again.
func TestWhatMicrosoftRefusesIsHeldBehindAReadingOfChanges(t *testing.T) {
	t.Parallel()
	h, i, ids := ratedHouse(t, inventory.SeverityLow)
	report, catalogue := syncer.DefaultReportPolicy(), syncer.DefaultCataloguePolicy()
	report.WholeRows, catalogue.MaxAge = 0, 0
	o := syncer.Options{SpoolDir: t.TempDir(), Removal: syncer.DefaultRemovalPolicy(), Report: report, Catalogue: catalogue}
	h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
	mustSucceed(t, h.again(i, syncer.Full))
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityMedium })
	h.both(time.Minute)
	if run := h.asTold(i); !plan(run).Changes || len(h.held(i)) != 0 {
		t.Fatalf("read by %+v, held %+v", plan(run), h.held(i))
	}
	all, some := h.openOf(ids), []string{}
	for cve := range h.openBy(ids) {
		some = append(some, cve)
	}
	h.rateLow(some)
	h.mustHoldStill(i, "with most rated as low")
	h.mustBeHeld(i, all, "with most rated as low")
	h.mustAllGo(i, ids)
}
