package syncer_test

import (
	"maps"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

func TestFirstSyncEqualsTheTruthAndASecondChangesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 30, 20)
	i := h.connect(h.tenant, nil)
	run := h.work()
	if run.State != syncer.Succeeded {
		t.Fatalf("the first run ended %s: %+v", run.State, run.Report.Error)
	}
	h.mustEqualTruth(h.tenant)
	h.mustBookTruth(run)
	if run.Report.NoChanges {
		t.Error("a first run cannot say that nothing changed")
	}

	again := h.again(i, syncer.Incremental)
	if again.State != syncer.Succeeded || !again.Report.NoChanges {
		t.Errorf("the second run ended %s, no changes %v, %s", again.State, again.Report.NoChanges, again.Report.Summary)
	}
	h.mustEqualTruth(h.tenant)
	h.mustBookTruth(again)
	for _, stage := range []syncer.Stage{syncer.StageAssets, syncer.StageVulnerabilities} {
		if s := again.Report.StageNamed(stage); s.TotalEstimate != s.Counts.Fetched {
			t.Errorf("%s: estimated %d, fetched %d", stage, s.TotalEstimate, s.Counts.Fetched)
		}
	}

	full := h.again(i, syncer.Full)
	if !full.Report.NoChanges {
		t.Errorf("a full comparison found differences: %s", full.Report.Summary)
	}
}

// mustBookTruth compares a run's figures with the expected ones, reason by reason.
func (h *house) mustBookTruth(run syncer.Run) {
	h.t.Helper()
	truth := h.truth()
	machines, rows := run.Report.StageNamed(syncer.StageAssets), run.Report.StageNamed(syncer.StageVulnerabilities)
	mustBook(h.t, "machines", machines, int64(truth.Machines.Fetched), int64(truth.Machines.Accepted), truth.Machines.Skipped)
	mustBook(h.t, "rows", rows, int64(truth.Rows.Fetched), int64(truth.Rows.Accepted), truth.Rows.Skipped)
	c := rows.Counts
	if got := c.Created + c.Updated + c.Unchanged + c.Reopened; got != int64(truth.Findings.Total) {
		h.t.Errorf("findings booked: %d, want %d", got, truth.Findings.Total)
	}
	summary, err := h.store.Summary(h.t.Context(), run.Tenant)
	if err != nil {
		h.t.Fatal(err)
	}
	if summary.Vulnerabilities != truth.Vulnerabilities || summary.OpenFindings.Total() != truth.Findings.Total {
		h.t.Errorf("summary: %d vulnerabilities and %d findings, want %d and %d", summary.Vulnerabilities, summary.OpenFindings.Total(), truth.Vulnerabilities, truth.Findings.Total)
	}
	for severity, want := range truth.Findings.BySeverity {
		got := map[string]int{
			"critical": summary.OpenFindings.Critical, "high": summary.OpenFindings.High, "medium": summary.OpenFindings.Medium,
			"low": summary.OpenFindings.Low, "unknown": summary.OpenFindings.Unknown,
		}[severity]
		if got != want {
			h.t.Errorf("summary: %d %s findings, want %d", got, severity, want)
		}
	}
}

func mustBook(t testing.TB, what string, s *syncer.StageReport, fetched, accepted int64, skipped map[string]int) {
	t.Helper()
	if s == nil {
		t.Fatalf("%s: the stage is missing", what)
	}
	if s.Counts.Fetched != fetched || s.Counts.Accepted != accepted {
		t.Errorf("%s: fetched %d, accepted %d; want %d, %d", what, s.Counts.Fetched, s.Counts.Accepted, fetched, accepted)
	}
	if s.Counts.Fetched != s.Counts.Accepted+s.Counts.Skipped {
		t.Errorf("%s: the ledger does not balance: %+v", what, s.Counts)
	}
	want := map[inventory.Reason]int64{}
	for reason, n := range skipped {
		if n > 0 {
			want[inventory.Reason(reason)] = int64(n)
		}
	}
	if !maps.Equal(s.SkippedBy, want) {
		t.Errorf("%s skipped:\n got %v\nwant %v", what, s.SkippedBy, want)
	}
	for reason := range s.SkippedBy {
		if n := len(s.Samples[reason]); n == 0 || n > syncer.SamplesPerReason {
			t.Errorf("%s: %d samples for %s", what, n, reason)
		}
	}
}
