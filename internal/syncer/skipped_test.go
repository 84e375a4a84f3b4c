package syncer_test

import (
	"maps"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// skipped reads the whole list of a run in pages of the given size.
func (h *house) skipped(run syncer.Run, limit int, reasons ...inventory.Reason) (all []syncer.SkippedRecord) {
	h.t.Helper()
	page := inventory.PageRequest{Limit: limit}
	for {
		found, end, err := h.store.ListSkipped(h.t.Context(), run.Tenant, run.PublicID, reasons, page)
		if err != nil {
			h.t.Fatal(err)
		}
		if all = append(all, found...); end == nil {
			return all
		}
		page.After = end
	}
}

// mustList checks that the list of a run has as many records of each reason as its report.
func (h *house) mustList(run syncer.Run) []syncer.SkippedRecord {
	h.t.Helper()
	list := h.skipped(run, 1000)
	sums := map[syncer.Stage]map[inventory.Reason]int64{}
	for _, line := range list {
		if sums[line.Stage] == nil {
			sums[line.Stage] = map[inventory.Reason]int64{}
		}
		sums[line.Stage][line.Reason] += line.Records
	}
	for _, s := range run.Report.Stages {
		if !maps.Equal(sums[s.Name], s.SkippedBy) {
			h.t.Errorf("%s: listed %v, booked %v", s.Name, sums[s.Name], s.SkippedBy)
		}
	}
	return list
}

func TestEverySkippedRecordIsListed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 60, 40)
	h.connect(h.tenant, func(s *inventory.Settings) { s.MinSeverity = inventory.SeverityHigh })
	run := h.work()
	mustSucceed(t, run)
	list := h.mustList(run)
	machines, rows, notImported := 0, 0, 0
	for _, line := range list {
		switch {
		case line.Stage == syncer.StageAssets && line.Records == 1 && (line.SourceID != "" || line.Reason == inventory.IDMissing):
			machines++
		case line.Reason == inventory.AssetNotImported && line.SourceID != "" && line.Vulnerability != "":
			notImported++
		case line.Reason == inventory.CVEMissing || line.SourceID == "" && line.Vulnerability != "":
			rows++
		default:
			t.Errorf("a line does not tell enough: %+v", line)
		}
	}
	if machines != int(assetCounts(t, run).Skipped) || rows < 5 || notImported == 0 {
		t.Errorf("%d machines, %d kinds of rows, %d of machines that were not imported", machines, rows, notImported)
	}
	if small := h.skipped(run, 7); len(small) != len(list) {
		t.Errorf("%d lines in small pages, %d in large ones", len(small), len(list))
	} else {
		for i := range small {
			if small[i] != list[i] {
				t.Fatalf("line %d: %+v, %+v", i, small[i], list[i])
			}
		}
	}
	for _, line := range h.skipped(run, 7, inventory.Duplicate, inventory.SeverityBelowMin) {
		if line.Reason != inventory.Duplicate && line.Reason != inventory.SeverityBelowMin {
			t.Errorf("not asked for: %+v", line)
		}
	}
}

func TestMachinesThatTheDatabaseLeavesOutAreListedByName(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 4)
	h.entitle(tenant.Entitlement{InternalAssessments: true, MaxAssets: 8})
	i := h.connect(h.tenant, nil)
	run := h.work()
	mustSucceed(t, run)
	h.mustName(run, inventory.QuotaExceeded, 4)
	h.entitle(tenant.Entitlement{InternalAssessments: true})
	h.set(i, assetsOff)
	h.change(world.Change{Op: "remove_findings", Machine: ptr(1)}, world.Change{Op: "remove_findings", Machine: ptr(11)})
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	h.mustName(run, inventory.ImportAssetsOff, int(run.Report.StageNamed(syncer.StageAssets).SkippedBy[inventory.ImportAssetsOff]))
}

func (h *house) mustName(run syncer.Run, reason inventory.Reason, want int) {
	h.t.Helper()
	h.mustList(run)
	named := map[string]bool{}
	for _, line := range h.skipped(run, 100, reason) {
		if line.Name != "" {
			named[line.SourceID] = true
		}
	}
	if want == 0 || len(named) != want {
		h.t.Errorf("%s names %d machines, want %d", reason, len(named), want)
	}
}

func TestListsAreKeptForTheLastRunsAndGoWithTheirs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 8, 2)
	i := h.connect(h.tenant, nil)
	first := h.work()
	h.mustList(first)
	var last syncer.Run
	for range syncer.KeepSkipped {
		last = h.again(i, syncer.Incremental)
		h.mustList(last)
	}
	_, _, err := h.store.ListSkipped(t.Context(), h.tenant, first.PublicID, nil, inventory.PageRequest{Limit: 10})
	if !fault.Is(err, fault.CodeNotFound) {
		t.Errorf("the list of the first run: %v", err)
	}
	if n := h.number(`select count(distinct run_id) from run_skipped`); n != syncer.KeepSkipped {
		t.Errorf("%d lists are kept", n)
	}
	h.sql(`delete from run where id = $1`, last.ID)
	if n := h.number(`select count(distinct run_id) from run_skipped`); n != syncer.KeepSkipped-1 {
		t.Errorf("%d lists are left without the last run", n)
	}
}
