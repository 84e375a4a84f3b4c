package syncer_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
)

// TestARunWithoutSomeFilesTellsWhatIsSo reads a first report of which the storage gives one file of four: the run tells how many are
// missing, why, and when the next one comes, which says why it reads the report whole.
func TestARunWithoutSomeFilesTellsWhatIsSo(t *testing.T) {
	t.Parallel()
	s := plain(spec(directory, 40, 3))
	s.ExportFiles = ptr(4)
	h := newHouseOf(t, s)
	policy := syncer.DefaultReportPolicy()
	policy.FilesMachines = 1
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: policy}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	h.sql(`update integration set next_run_at = now() + interval '23 hours'`) // as the schedule does when it begins a run
	h.fault(defendersim.Fault{Route: "blob", Status: 503, Body: "html", After: 1, Times: 100})
	run := h.work()
	if run.State != syncer.PartiallySucceeded || plan(run).Via != connector.ViaFiles {
		t.Fatalf("the run is %s, read by %+v: %s", run.State, plan(run), run.Report.Summary)
	}
	const missing = "3 of 4 files of the vulnerability report could not be read"
	next := h.integration(i).NextRunAt
	if !strings.Contains(run.Report.Summary, missing) || !strings.Contains(run.Report.Summary, due(next)) {
		t.Errorf("the next run comes at %v; %s", next, run.Report.Summary)
	}
	if early := time.Until(next); early <= 0 || early > 5*time.Minute {
		t.Errorf("the next run comes in %v", early)
	}
	told := h.integration(i).StateNotice
	if told.Code != fault.CodeUnreadable || !strings.HasPrefix(told.Detail, missing) || strings.Contains(told.Cause, "have no identifier") {
		t.Errorf("the integration tells %+v", told)
	}
	h.sim.ClearFaults()
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if p := plan(run); p.Changes || p.Via != connector.ViaFiles || strings.Contains(p.Why, "held back") {
		t.Errorf("the next run reads %+v", p)
	}
	h.mustEqualTruth(h.tenant)
}

// TestAnIntegrationTellsAllThatCouldNotBeRead has a machine's record that is damaged, and storage that gives one file of four.
func TestAnIntegrationTellsAllThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	s := plain(spec(directory, 12, 3))
	s.ExportFiles = ptr(4)
	h := newHouseOf(t, s)
	h.server.Config.Handler = &spoiler{next: h.server.Config.Handler, path: "/api/machines"}
	policy := syncer.DefaultReportPolicy()
	policy.FilesMachines = 1
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: policy}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	h.fault(defendersim.Fault{Route: "blob", Status: 503, Body: "html", After: 1, Times: 100})
	if run := h.work(); run.State != syncer.PartiallySucceeded || len(run.Report.Warnings) != 2 {
		t.Fatalf("the run is %s: %+v", run.State, run.Report.Warnings)
	}
	told := h.integration(i).StateNotice
	for _, part := range []string{"1 records of the stage assets", "3 of 4 files"} {
		if told.Code != fault.CodeUnreadable || !strings.Contains(told.Detail, part) {
			t.Errorf("of %s the integration tells %+v", part, told)
		}
	}
	if !strings.Contains(told.Cause, "damaged") || !strings.Contains(told.Cause, "files") {
		t.Errorf("the cause is told as %s", told.Cause)
	}
}

// cutter stands between client and simulator and cuts an export file in half.
type cutter struct {
	next http.Handler
	file string // part of its path; empty for none
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if c.file == "" || !strings.Contains(r.URL.Path, c.file) {
		c.next.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	c.next.ServeHTTP(answer, r)
	_, _ = w.Write(answer.Body.Bytes()[:answer.Body.Len()/2])
}

// TestAFileThatBreaksOffLateCostsNoOther has one file of four end behind rows that have been taken by then, at the first reading and
// when findings are gone: the others are imported, and nothing is fixed.
func TestAFileThatBreaksOffLateCostsNoOther(t *testing.T) {
	t.Parallel()
	s := plain(spec(directory, 40, 8))
	s.ExportFiles = ptr(4)
	h := newHouseOf(t, s)
	h.wire(defender.Config{Pages: defender.Pages{Batch: 4}})
	cut := &cutter{next: h.server.Config.Handler, file: "part-00001"}
	h.server.Config.Handler = cut
	policy := syncer.DefaultReportPolicy()
	policy.FilesMachines, policy.FilesRows = 1, 1
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: policy}, h.logger(), silence{}, h.clock)
	i := h.connect(h.tenant, nil)
	first := h.work()
	mustLackAFile := func(run syncer.Run) syncer.Counts {
		t.Helper()
		if run.State != syncer.PartiallySucceeded || plan(run).Via != connector.ViaFiles || !strings.Contains(run.Report.Summary, "1 of 4 files") {
			t.Fatalf("the run is %s, read by %+v: %s", run.State, plan(run), run.Report.Summary)
		}
		return run.Report.StageNamed(syncer.StageVulnerabilities).Counts
	}
	some := mustLackAFile(first).Created
	cut.file = ""
	run := h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	h.mustEqualTruth(h.tenant)
	if rest := run.Report.StageNamed(syncer.StageVulnerabilities).Counts.Created; rest == 0 || some <= 2*rest {
		t.Errorf("%d findings without half a file of four, %d in that", some, rest)
	}
	h.change(world.Change{Op: "remove_findings", Machine: ptr(8)})
	cut.file = "part-00002"
	if c := mustLackAFile(h.again(i, syncer.Incremental)); c.Fixed != 0 {
		t.Errorf("an incomplete reading fixed %d", c.Fixed)
	}
	cut.file = ""
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if run.Report.StageNamed(syncer.StageVulnerabilities).Counts.Fixed == 0 {
		t.Error("there was nothing to fix, so nothing was tried")
	}
	h.mustEqualTruth(h.tenant)
}

// due is how a summary tells when the next run comes at the latest: the minute that begins then or after it.
func due(at time.Time) string {
	if rest := at.Truncate(time.Minute); rest.Before(at) {
		at = rest.Add(time.Minute)
	}
	return "The next run is due on " + at.UTC().Format("2 January 2006, 15:04 MST") + " at the latest."
}
