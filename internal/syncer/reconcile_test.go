package syncer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

func (h *house) reconciliation(run syncer.Run) syncer.Reconciliation {
	h.t.Helper()
	r, err := h.store.Reconciliation(h.t.Context(), run.Tenant, run.IntegrationPublic)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, d := range r.Differences {
		if d.Unexplained != 0 {
			h.t.Logf("%+v", d)
		}
	}
	h.mustAddUp(&r)
	return r
}

// mustAddUp holds the sums of a reconciliation against its totals and its differences: every machine and finding is in one of them.
func (h *house) mustAddUp(r *syncer.Reconciliation) {
	h.t.Helper()
	var refused, notImported, kept, unaccounted int64
	for _, n := range r.Sum.Refused {
		refused += n
	}
	for _, n := range r.Sum.NotImported {
		notImported += n
	}
	kept = r.Sum.Missing + r.Sum.Stale + r.Sum.Held + r.Uncatalogued
	rest := r.Exposed - r.Open - notImported + kept // machines of refused rows, and what nothing accounts for
	if rest < -r.Unaccounted || rest > refused+r.Unaccounted {
		h.t.Errorf("%d exposed, %d open, %d not imported, %d kept, %d rows refused, %d unaccounted for", r.Exposed, r.Open, notImported, kept, refused, r.Unaccounted)
	}
	if listed := int64(len(r.Differences)); listed+r.Omitted != r.Explained+r.Unexplained || r.Omitted > 0 && listed < 200 {
		h.t.Errorf("%d differences, %d omitted, %d explained, %d unexplained", listed, r.Omitted, r.Explained, r.Unexplained)
	}
	if r.Unexplained > 200 {
		return
	}
	for _, d := range r.Differences {
		unaccounted += max(d.Unexplained, -d.Unexplained)
	}
	if unaccounted != r.Unaccounted {
		h.t.Errorf("the differences leave %d unaccounted for, the sum %d", unaccounted, r.Unaccounted)
	}
}

func TestWhatIsLeftOutAccountsForTheDifferencesFromDefendersCounts(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*house{"plain": newPlainHouse(t, 30, 20), "edge cases": newHouse(t, 30, 20)} {
		t.Run(name, func(t *testing.T) {
			h.connect(h.tenant, nil)
			run := h.work()
			mustSucceed(t, run)
			r := h.reconciliation(run)
			s := run.Report.StageNamed(syncer.StageAssets)
			if r.Run != run.PublicID || r.TakenAt.IsZero() || r.Unavailable != "" || r.Listed != s.Counts.Fetched || r.Accepted != s.Counts.Accepted || len(r.Skipped) != len(s.SkippedBy) {
				t.Errorf("%+v", r)
			}
			if r.Open != int64(h.truth().Findings.Total) || r.Equal+r.Explained+r.Unexplained != r.Vulnerabilities || r.Equal == 0 || r.Explained == 0 {
				t.Errorf("%+v", r)
			}
			if r.Unexplained != 0 {
				t.Errorf("%d of %d vulnerabilities differ for no known reason", r.Unexplained, r.Vulnerabilities)
			}
			if r.Assets[inventory.AssetActive]+r.Assets[inventory.AssetInactive] != r.Accepted {
				t.Errorf("assets %v, accepted %d", r.Assets, r.Accepted)
			}
		})
	}
}

// TestCountsThatAreRefusedAreReadWithTheCatalogueOnceAWeek has the API refuse to tell its counts alone.
func TestCountsThatAreRefusedAreReadWithTheCatalogueOnceAWeek(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 8, 5)
	answer := httptest.NewRecorder()
	h.sim.ControlHandler().ServeHTTP(answer, httptest.NewRequest(http.MethodPatch, "/switches", strings.NewReader(`{"refuse_exposed_filter":true}`)))
	if answer.Code != http.StatusOK {
		t.Fatal(answer.Body)
	}
	i := h.connect(h.tenant, nil)
	first := h.work()
	mustSucceed(t, first)
	if r := h.reconciliation(first); r.Run != first.PublicID || r.Unexplained != 0 || r.Exposed == 0 {
		t.Errorf("%+v", r)
	}
	second := h.again(i, syncer.Incremental)
	mustSucceed(t, second)
	if r := h.reconciliation(second); r.Run != first.PublicID {
		t.Error("the whole catalogue was read again for the counts")
	}
	h.pass(8 * 24 * time.Hour)
	third := h.again(i, syncer.Incremental)
	mustSucceed(t, third)
	if r := h.reconciliation(third); r.Run != third.PublicID {
		t.Error("the counts are older than a week")
	}
}

// TestMissingMachinesAccountForTheirFindings reconciles while machines are missing that Defender counts no more.
func TestMissingMachinesAccountForTheirFindings(t *testing.T) {
	t.Parallel()
	h, run := withSomeMissing(t)
	r := h.reconciliation(run)
	if r.Missing != 3 || r.Unexplained != 0 {
		t.Errorf("%+v", r)
	}
	more := 0
	for _, d := range r.Differences {
		if d.Open <= d.Exposed {
			continue
		}
		if more++; d.Missing != d.Open-d.Exposed {
			t.Errorf("%+v", d)
		}
	}
	if more == 0 {
		t.Error("Defender counts all the machines that are missing")
	}
}

// TestMergedAndStaleMachinesAccountForTheirVulnerabilities has a merged record and the machine that it was merged into have the same
// vulnerability, which Defender counts twice, and another machine go stale with what it has.
func TestMergedAndStaleMachinesAccountForTheirVulnerabilities(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 8)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	cve := h.truthOf(h.machine(4))[0].CVE
	stale := h.truthOf(h.machine(7))[0].CVE
	h.change(world.Change{Op: "add_findings", MachineID: h.machine(1), CVEs: []string{cve}}, world.Change{Op: "merge_machine", MachineID: h.machine(1), Into: ptr(4)},
		world.Change{Op: "touch_machine", MachineID: h.machine(7), LastSeenDaysAgo: 45})
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	r := h.reconciliation(run)
	if r.Unexplained != 0 {
		t.Errorf("%+v", r)
	}
	told := false
	for _, d := range r.Differences {
		told = told || d.Vulnerability == cve && d.NotImported[inventory.Merged] == 1
		if d.Vulnerability == stale && d.Exposed != d.Open && d.NotImported[inventory.Stale] != 0 {
			t.Errorf("%+v", d)
		}
	}
	if !told {
		t.Errorf("the merged record is not told of %s: %+v", cve, r.Differences)
	}
}
