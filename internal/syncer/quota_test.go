package syncer_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

func (h *house) limit(assets int) {
	h.t.Helper()
	h.entitle(tenant.Entitlement{InternalAssessments: true, MaxAssets: assets})
}

// TestTheQuotaHoldsForMachinesThatComeBack widens a filter under a quota that is smaller than what it takes in again.
func TestTheQuotaHoldsForMachinesThatComeBack(t *testing.T) {
	t.Parallel()
	h, i := narrowed(t)
	if n := h.inScope(h.tenant); n != 12 {
		t.Fatalf("%d assets in scope, want one group of 12", n)
	}
	h.limit(20)
	h.set(i, allGroups)
	preview := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	s := run.Report.StageNamed(syncer.StageAssets)
	if h.inScope(h.tenant) != 20 || s.Counts.Updated != 8+20 || s.Ledger.StillOut != 20 || s.Counts.OutOfScope != 0 || s.Counts.Created != 0 || s.SkippedBy[inventory.QuotaExceeded] != 20 || !warned(run, fault.CodeQuotaExceeded) {
		t.Errorf("%d in scope under a quota of 20; counts %+v, skipped %v, warnings %+v", h.inScope(h.tenant), s.Counts, s.SkippedBy, run.Report.Warnings)
	}
	mustBeAlike(t, preview, run)
	h.mustName(run, inventory.QuotaExceeded, 20)
	out := h.assets(h.tenant, inventory.AssetOutOfScope)
	for source, a := range out {
		if a.StateReason != string(inventory.QuotaExceeded) {
			t.Errorf("%s is out of scope for %q", source, a.StateReason)
		}
	}
	if len(out) != 20 {
		t.Errorf("%d assets are out of scope, want 20", len(out))
	}
	h.mustAudit(h.tenant)
	same := h.again(i, syncer.Incremental)
	if c := assetCounts(t, same); c.Updated+c.OutOfScope+c.Removed != 0 {
		t.Errorf("nothing changed, yet %+v", c)
	}
	if !same.Report.NoChanges || !warned(same, fault.CodeQuotaExceeded) {
		t.Errorf("no changes: %v, warnings %+v", same.Report.NoChanges, same.Report.Warnings)
	}
	for _, want := range []string{"Nothing changed: 20 assets, ", " Besides, 20 machines were left out; the subscription allows 20 assets."} {
		if !strings.Contains(same.Report.Summary, want) {
			t.Errorf("it does not say %q: %s", want, same.Report.Summary)
		}
	}
	h.limit(0)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	h.mustAudit(h.tenant)
}

// TestTheQuotaHoldsWhateverComesAndGoes changes directory, filters and quota by chance. After no run is more in scope than the quota
// allows, or than was before where the quota has shrunk below that; and with the quota gone all is as it would be without one.
func TestTheQuotaHoldsWhateverComesAndGoes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			h := newPlainHouse(t, 30, 2)
			h.limit(10)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work())
			for step := range 10 {
				quota := 5 + r.IntN(25)
				h.limit(quota)
				from := r.IntN(25)
				h.change(regroup(from, from+1+r.IntN(5), []int{kept, other}[r.IntN(2)])...)
				h.change(world.Change{Op: "touch_machine", Machine: ptr(r.IntN(30)), LastSeenDaysAgo: []int{1, 45}[r.IntN(2)]},
					world.Change{Op: []string{"remove_machines", "restore_machines"}[r.IntN(2)], From: from, To: from + 3})
				h.set(i, []func(*inventory.Settings){oneGroup, allGroups}[r.IntN(2)])
				before := h.inScope(h.tenant)
				h.both(time.Hour)
				run := h.again(i, syncer.Incremental)
				mustSucceed(t, run)
				if n := h.inScope(h.tenant); n > max(int64(quota), before) {
					t.Fatalf("step %d: %d in scope, %d before, under a quota of %d: %+v", step, n, before, quota, assetCounts(t, run))
				}
				h.mustAudit(h.tenant)
			}
			h.limit(0)
			h.set(i, allGroups)
			for n := range 30 { // findings of stale assets stay, and the truth has none of theirs
				h.change(world.Change{Op: "touch_machine", Machine: ptr(n), LastSeenDaysAgo: 1})
			}
			mustSucceed(t, h.again(i, syncer.Full))
			h.mustEqualTruth(h.tenant)
		})
	}
}

// TestFindingsThatOnlyTheQuotaEndsKeepWhenTheyWereSeen has a machine fall silent, which keeps its findings, and report again when there is no room for it.
func TestFindingsThatOnlyTheQuotaEndsKeepWhenTheyWereSeen(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 2)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(world.Change{Op: "touch_machine", Machine: ptr(3), LastSeenDaysAgo: 45})
	mustSucceed(t, h.again(i, syncer.Incremental))
	const ended = `select count(*) from finding f join asset a on a.id = f.asset_id where f.state = 3 and f.state_reason = 'quota_exceeded'`
	if h.number(ended) > 0 {
		t.Fatal("findings have ended before there was no room")
	}
	h.limit(5)
	h.change(world.Change{Op: "touch_machine", Machine: ptr(3), LastSeenDaysAgo: 1})
	mustSucceed(t, h.again(i, syncer.Incremental))
	if all, seen := h.number(ended), h.number(ended+` and f.last_seen_at = coalesce(a.findings_seen_at, a.last_seen_at)`); all == 0 || seen < all {
		t.Errorf("of %d findings that ended %d tell when they were seen last", all, seen)
	}
}

// instances counts the rows behind the open findings of the tenant.
func (h *house) instances() int64 {
	h.t.Helper()
	return h.number(`select coalesce(sum(cardinality(software_ids)), 0) from finding where state = 1`)
}

// TestRowsOfCarriersOverTheQuotaAreLeftOut has more machines with findings than there is room for while asset import is off: what a run
// says it took is what is stored, a preview says the same, and what was left out accounts for the rest.
func TestRowsOfCarriersOverTheQuotaAreLeftOut(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 60, 15)
	h.limit(40)
	i := h.connect(h.tenant, assetsOff)
	h.sql(`delete from job`) // the first run is to come after the preview
	h.sql(`delete from run`)
	told := h.preview(i, syncer.Incremental, h.integration(i).Settings)
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	mustBalance(t, run)
	mustBeAlike(t, told, run)
	h.mustLeaveRowsOut(run)
	over := run.Report.StageNamed(syncer.StageAssets).SkippedBy[inventory.QuotaExceeded]
	machines := map[string]bool{}
	for _, line := range h.skipped(run, 1000, inventory.AssetNotImported) {
		if machines[line.SourceID] = true; line.Vulnerability == "" {
			t.Errorf("a line names no vulnerability: %+v", line)
		}
	}
	if over == 0 || int64(len(machines)) != over || machines[""] || h.inScope(h.tenant) != 40 {
		t.Errorf("rows of %d machines are listed, %d are over the quota, %d in scope", len(machines), over, h.inScope(h.tenant))
	}
	again := h.again(i, syncer.Full)
	mustSucceed(t, again)
	h.mustLeaveRowsOut(again)
	h.limit(0)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustHoldCarriers(h.tenant)
}

// mustLeaveRowsOut checks what a run says of the rows of machines over the quota: as much as the rows of others.
func (h *house) mustLeaveRowsOut(run syncer.Run) {
	h.t.Helper()
	s := run.Report.StageNamed(syncer.StageVulnerabilities)
	over := map[string]bool{}
	for _, line := range h.skipped(run, 1000, inventory.QuotaExceeded) {
		over[line.SourceID] = true
	}
	var out int64
	for row := range h.state().MappingRows(0, "") {
		if over[inventory.CanonicalID(row.MachineID)] {
			out++
		}
	}
	h.mustList(run)
	if samples := s.Samples[inventory.AssetNotImported]; len(samples) != syncer.SamplesPerReason || samples[0].SourceID == "" || samples[0].Name == "" || samples[0].Detail == "" {
		h.t.Errorf("samples: %+v", samples)
	}
	if s.Counts.Accepted != h.instances() || s.SkippedBy[inventory.AssetNotImported] != out {
		h.t.Errorf("%d rows accepted, %d stored; %v were left out, want %d", s.Counts.Accepted, h.instances(), s.SkippedBy, out)
	}
	h.mustBlameTheQuota(run)
}

// mustBlameTheQuota checks that the reconciliation leaves nothing open, and finds the quota behind it.
func (h *house) mustBlameTheQuota(run syncer.Run) {
	h.t.Helper()
	r := h.reconciliation(run)
	var blamed int64
	for _, d := range r.Differences {
		blamed += d.NotImported[inventory.QuotaExceeded]
		if d.NotImported[inventory.AssetNotImported] > 0 {
			h.t.Errorf("the reason of a machine is not told: %+v", d)
		}
	}
	if r.Unexplained != 0 || blamed == 0 {
		h.t.Errorf("%d vulnerabilities are unexplained, %d machines are over the quota", r.Unexplained, blamed)
	}
}

// TestTheReconciliationKnowsMachinesOverTheQuota has asset import on, where no row of such a machine is looked at.
func TestTheReconciliationKnowsMachinesOverTheQuota(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 16, 12)
	h.limit(10)
	h.connect(h.tenant, nil)
	run := h.work()
	mustSucceed(t, run)
	h.mustLeaveRowsOut(run)
}
