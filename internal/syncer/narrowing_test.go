package syncer_test

import (
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// largeHouse stands for a directory so large that its report is read whole once a week.
func largeHouse(t *testing.T) (*house, connector.Integration) {
	h := newPlainHouse(t, 20, 12)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
	h.readChanges()
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	return h, i
}

// mustNeedNoReading fails the test if a full run finds anything to do, or the report was read.
func (h *house) mustNeedNoReading(i connector.Integration, run syncer.Run) {
	h.t.Helper()
	mustSucceed(h.t, run)
	if !plan(run).Changes {
		h.t.Errorf("the report was read whole: %s", plan(run).Why)
	}
	for _, e := range h.sim.Journal(1000) {
		if e.Route == "software_vulnerabilities" {
			h.t.Error("a page of the report was read")
		}
	}
	h.mustAudit(h.tenant)
	full := h.again(i, syncer.Full)
	mustSucceed(h.t, full)
	if c := full.Report.Totals(); c.Changes() != 0 {
		h.t.Errorf("after %+v a full run changed %+v", run.Report.Totals(), c)
	}
}

// TestSettingsThatTakeLessNeedNoReport narrows the settings while the directory changes: what is stored tells what goes.
func TestSettingsThatTakeLessNeedNoReport(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		narrow func(*inventory.Settings)
		reason inventory.Reason // of the findings that go
	}{
		"severity":      {func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh }, inventory.SeverityBelowMin},
		"vectors":       {func(s *inventory.Settings) { s.AttackVectors = []inventory.AttackVector{inventory.VectorAdjacent} }, inventory.VectorNotSelected},
		"interaction":   {func(s *inventory.Settings) { s.ExcludeUserInteraction = true }, inventory.UserInteractionOnly},
		"unknown":       {func(s *inventory.Settings) { s.UnknownVector = inventory.UnknownExclude }, inventory.VectorIsUnknown},
		"device groups": {func(s *inventory.Settings) { s.DeviceGroups = []string{"Workstations"} }, inventory.GroupFiltered},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, i := largeHouse(t)
			h.change(world.RandomChanges(7, 6)...)
			h.set(i, c.narrow)
			told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
			h.sim.ClearJournal()
			run := h.again(i, syncer.Incremental)
			mustBeAlike(t, told, run)
			h.mustNeedNoReading(i, run)
			gone := h.number(`select count(*) from finding where state = 3 and state_reason = '` + string(c.reason) + `'`)
			if out := run.Report.Totals().OutOfScope; gone == 0 || out < gone {
				t.Errorf("%d findings are out of scope for %s, the run took %d out", gone, c.reason, out)
			}
			// What it took away comes back with the settings, and that takes the report.
			h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
			back := h.again(i, syncer.Incremental)
			mustSucceed(t, back)
			if plan(back).Changes {
				t.Errorf("what came back was not read: %+v", plan(back))
			}
			h.mustEqualTruthButStale()
		})
	}
}

// TestRowsAreReadWhereTheyDecide narrows the least severity while a vulnerability is known from rows alone.
func TestRowsAreReadWhereTheyDecide(t *testing.T) {
	t.Parallel()
	h, i := largeHouse(t)
	h.sql(`update vulnerability set severity_word = '' where id = (select min(vulnerability_id) from finding where state = 1)`)
	h.set(i, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if p := plan(run); p.Changes || !strings.Contains(p.Why, "1 vulnerabilities") {
		t.Errorf("read %+v", p)
	}
}

// TestARunUnderOtherSettingsThatEndsEarlyIsUndone stops a run after it applied settings that are taken back before it goes on.
func TestARunUnderOtherSettingsThatEndsEarlyIsUndone(t *testing.T) {
	t.Parallel()
	h, i := largeHouse(t)
	h.readCatalogue(syncer.DefaultCataloguePolicy())
	h.set(i, func(s *inventory.Settings) {
		s.MinSeverity, s.DeviceGroups = inventory.SeverityCritical, []string{"Workstations"}
	})
	if _, err := h.store.StartRun(t.Context(), i.Tenant, i.PublicID, syncer.Full); err != nil {
		t.Fatal(err)
	}
	h.holdAt("vulnerabilities").stop()
	h.sim.ClearFaults()
	if h.number(`select count(*) from finding where state = 3`) == 0 {
		t.Fatal("the run was stopped before it applied anything")
	}
	h.set(i, func(s *inventory.Settings) { *s = inventory.DefaultSettings() })
	h.sql(`update run set mode = 'incremental'`)
	h.readChanges()
	mustSucceed(t, h.work())
	h.mustEqualTruthButStale()
	h.mustAudit(h.tenant)
}
