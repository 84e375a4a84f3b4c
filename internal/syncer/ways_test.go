package syncer_test

import (
	"slices"
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

// readFiles makes a syncer that reads every report whole and from files, if it can.
func (h *house) readFiles() {
	policy := syncer.ReportPolicy{FilesRows: 1}
	h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: h.t.TempDir(), Report: policy}, h.logger(), silence{}, h.clock)
}

// TestAStorageThatRefusesLeavesThePages has Microsoft offer files that its storage does not give out: the plan says so.
func TestAStorageThatRefusesLeavesThePages(t *testing.T) {
	t.Parallel()
	s := plain(spec(directory, 12, 3))
	s.ExportFiles = ptr(30)
	h := newHouseOf(t, s)
	h.readFiles()
	h.connect(h.tenant, nil)
	h.fault(defendersim.Fault{Route: "blob", Status: 403, Body: "xml"})
	run := h.work()
	mustSucceed(t, run)
	if p := plan(run); p.Via != connector.ViaPages || !strings.HasSuffix(p.Why, "; not by files, which could not be had") {
		t.Errorf("read by %+v", p)
	}
	h.mustEqualTruth(h.tenant)
}

// TestFilesThatCannotBeHadAreLeftAloneForHours closes the way to files: the next runs do not pay for trying it, say so, and try it
// once hours have passed or somebody starts a full run.
func TestFilesThatCannotBeHadAreLeftAloneForHours(t *testing.T) {
	t.Parallel()
	for name, closed := range map[string]defendersim.Fault{
		"no export": {Route: "software_vulnerabilities_export", Status: 404}, "no storage": {Route: "blob", Status: 403, Body: "xml"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := plain(spec(directory, 12, 3))
			s.ExportFiles = ptr(4)
			h := newHouseOf(t, s)
			h.syncer = syncer.New(h.store, h.links, syncer.Options{SpoolDir: t.TempDir(), Report: syncer.ReportPolicy{FilesRows: 1, FilesAgain: 12 * time.Hour}}, h.logger(), silence{}, h.clock)
			i := h.connect(h.tenant, nil)
			mustSucceed(t, h.work()) // how large the report is shows now
			h.sim.ClearJournal()
			h.fault(closed)
			h.mustRead(h.again(i, syncer.Incremental), connector.ViaPages, "not by files, which could not be had", true)
			h.both(11 * time.Hour)
			h.mustRead(h.again(i, syncer.Incremental), connector.ViaPages, "not by files, which could not be had on", false)
			h.mustRead(h.again(i, syncer.Full), connector.ViaPages, "not by files, which could not be had", true)
			h.both(11 * time.Hour)
			h.mustRead(h.again(i, syncer.Incremental), connector.ViaPages, "are tried again from", false)
			h.sim.ClearFaults()
			h.both(time.Hour)
			h.mustRead(h.again(i, syncer.Incremental), connector.ViaFiles, "", true)
			h.mustRead(h.again(i, syncer.Incremental), connector.ViaFiles, "", true)
			h.mustEqualTruth(h.tenant)
		})
	}
}

// mustRead fails unless the run read the report this way, for a reason that says so much, and asked for files or did not; it forgets
// the requests.
func (h *house) mustRead(run syncer.Run, via connector.Via, why string, asked bool) {
	h.t.Helper()
	mustSucceed(h.t, run)
	files := slices.ContainsFunc(h.sim.Journal(0), func(e defendersim.Entry) bool { return e.Route == "software_vulnerabilities_export" })
	if p := plan(run); p.Via != via || !strings.Contains(p.Why, why) || files != asked {
		h.t.Errorf("read by %+v, files were asked for: %v; want %s, %q, %v", p, files, via, why, asked)
	}
	h.sim.ClearJournal()
}

// TestPagesInsteadOfFilesMayBeBegunAgain has no files be there, and Microsoft end the chain of the pages once.
func TestPagesInsteadOfFilesMayBeBegunAgain(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 20)
	h.wire(defender.Config{Pages: defender.Pages{Rows: 40, Batch: 7}})
	h.readFiles()
	h.connect(h.tenant, nil)
	h.fault(defendersim.Fault{Route: "software_vulnerabilities_export", Status: 404})
	h.fault(defendersim.Fault{Route: "software_vulnerabilities", After: 2, Times: 1, Status: 400, Code: "BadRequest"})
	run := h.work()
	mustSucceed(t, run)
	if p := plan(run); p.Via != connector.ViaPages {
		t.Errorf("read by %+v", p)
	}
	h.mustEqualTruth(h.tenant)
}

// TestEveryWayLeadsToTheSame reads the report from files, by pages when there are no files, and from the mapping when there
// is neither: the mapping may add findings but ends none, and leaves what it does not tell.
func TestEveryWayLeadsToTheSame(t *testing.T) {
	t.Parallel()
	h := newPlainHouse(t, 12, 10)
	h.readFiles()
	i := h.connect(h.tenant, nil)
	run := h.work()
	mustSucceed(t, run)
	if p := plan(run); p.Via != connector.ViaFiles {
		t.Errorf("read by %+v", p)
	}
	h.mustEqualTruth(h.tenant)
	before := h.snapshot(h.tenant)

	h.fault(defendersim.Fault{Route: "software_vulnerabilities_export", Status: 404})
	run = h.again(i, syncer.Incremental)
	mustSucceed(t, run)
	if p := plan(run); p.Via != connector.ViaPages || !run.Report.NoChanges || h.snapshot(h.tenant) != before {
		t.Errorf("read by %+v: %s", p, run.Report.Summary)
	}

	h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: 404})
	gone, added := h.truthOf(h.machine(3))[0].CVE, h.truthOf(h.machine(5))[0].CVE
	h.change(world.Change{Op: "remove_findings", Machine: ptr(3), CVEs: []string{gone}}, world.Change{Op: "add_findings", Machine: ptr(3), CVEs: []string{added}})
	since := h.integration(i).LastSuccessAt
	h.sql(`update vulnerability set vector = 'CVSS:3.1/AV:L' where id = (select min(vulnerability_id) from finding where state = 1)`) // refused from now on
	run = h.again(i, syncer.Incremental)
	if run.State != syncer.PartiallySucceeded || plan(run).Via != connector.ViaMapping || !warned(run, fault.CodeReportPoor) {
		t.Fatalf("the run is %s, read by %+v, warnings %+v", run.State, plan(run), run.Report.Warnings)
	}
	if c := findingCounts(t, run); c.Fixed != 0 || c.OutOfScope != 0 || c.Created > 1 || c.Updated != 0 {
		t.Errorf("the mapping changed %+v", c)
	}
	if now := h.integration(i); now.State != connector.StateDegraded || now.StateReason != fault.CodeReportPoor || !now.LastSuccessAt.Equal(since) {
		t.Errorf("the integration is %s %q", now.State, now.StateReason)
	}
	if n := h.number(`select count(*) from installation where tenant_id = $1`, h.tenant); n == 0 {
		t.Error("the mapping took away where software sits")
	}
	h.sim.ClearFaults()
	h.sql(`update vulnerability set vector = 'CVSS:3.1/AV:N' where vector = 'CVSS:3.1/AV:L'`)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
}
