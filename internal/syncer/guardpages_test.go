package syncer_test

import (
	"net/http"
	"slices"
	"testing"

	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
	"pgp.internal/defender/internal/syncer"
)

// brokenList is a list of which any page may fail.
type brokenList struct {
	name   string
	route  string // of its pages, as the simulator calls it
	page   int    // most records of a page
	files  int    // that the report is exported to
	report *syncer.ReportPolicy
	closed []string     // ways to the report that Microsoft does not offer
	anew   func(*house) // what makes the next run read the list; nil where each does
	pages  int          // at least, for this to be a test
	last   int          // behind so many the route tells something else; 0 where it never does
}

func brokenLists() []brokenList {
	changes := syncer.DefaultReportPolicy()
	changes.WholeRows = 0
	return []brokenList{
		{name: "machines", route: "machines", page: 2, pages: 4},
		{name: "catalogue", route: "vulnerabilities", page: 150, anew: func(h *house) { h.sql(`delete from catalogue_read`) }, pages: 5, last: 5},
		{name: "report by pages", route: "software_vulnerabilities", pages: 4},
		{name: "report by changes", route: "software_vulnerability_changes", report: &changes, pages: 2},
		{name: "report by files", route: "blob", files: 6, report: &syncer.ReportPolicy{FilesRows: 1}, pages: 6},
		{name: "mapping", route: "machines_vulnerabilities", page: 20, closed: []string{"software_vulnerabilities"}, pages: 3},
	}
}

// TestNoPageThatFailsRemovesAnything breaks each page of each list, one after the other until there is none to break, while the
// directory shrinks. No run may believe what it got: nothing is fixed, and of machines nothing leaves before all are listed.
func TestNoPageThatFailsRemovesAnything(t *testing.T) {
	t.Parallel()
	for _, l := range brokenLists() {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			l.breakEach(t)
		})
	}
}

func (l *brokenList) breakEach(t *testing.T) {
	s := plain(spec(directory, 10, 8))
	if l.files > 0 {
		s.ExportFiles = &l.files
	}
	h := newHouseOf(t, s)
	if err := h.sim.Switch(defendersim.Switches{ListPage: l.page}); err != nil {
		t.Fatal(err)
	}
	l.wire(h)
	i := h.connect(h.tenant, nil)
	mustSucceed(t, h.work())
	h.change(leave(2), world.Change{Op: "remove_findings", Machine: ptr(5)})
	before, open := h.snapshot(h.tenant), h.number(`select count(*) from finding where tenant_id = $1 and state = 1`, h.tenant)
	pages := 0
	for ; l.last == 0 || pages < l.last; pages++ {
		l.breakBehind(h, pages)
		run := h.again(i, syncer.Incremental)
		if !h.hasBroken() {
			break
		}
		want := syncer.PartiallySucceeded
		if l.route == "machines" {
			want = syncer.Failed
		}
		if run.State != want {
			t.Errorf("page %d failed, and the run is %s: %+v", pages+1, run.State, run.Report.Error)
		}
		if want == syncer.Failed && h.snapshot(h.tenant) != before {
			t.Errorf("page %d failed, and the inventory changed", pages+1)
		}
		if n := h.number(`select count(*) from finding where tenant_id = $1 and state = 2`, h.tenant); n != 0 || run.Report.Totals().Fixed != 0 {
			t.Errorf("page %d failed, and %d findings count as fixed", pages+1, n)
		}
	}
	if pages < l.pages {
		t.Errorf("only %d pages could be broken", pages)
	}
	h.sim.ClearFaults()
	l.wire(h)
	mustSucceed(t, h.again(i, syncer.Incremental))
	h.mustEqualTruth(h.tenant)
	if n := h.number(`select count(*) from finding where tenant_id = $1 and state = 1`, h.tenant); n >= open {
		t.Errorf("%d findings are open, before the directory shrank %d", n, open)
	}
}

// wire lets the house read the list, with no page kept of a run before.
func (l *brokenList) wire(h *house) {
	h.wire(defender.Config{Pages: defender.Pages{Rows: 12, Batch: 3}, Retry: defender.RetryPolicy{Tries: 2}})
	if l.report != nil {
		o := syncer.Options{SpoolDir: h.t.TempDir(), Report: *l.report}
		h.syncer = syncer.New(h.store, h.links, o, h.logger(), silence{}, h.clock)
	}
}

// breakBehind lets the page behind so many fail, and those behind it: they are refused, or cut in the middle.
func (l *brokenList) breakBehind(h *house, after int) {
	h.sim.ClearFaults()
	l.wire(h)
	if l.anew != nil {
		l.anew(h)
	}
	for _, route := range l.closed {
		h.fault(defendersim.Fault{Route: route, Status: http.StatusNotFound})
	}
	if l.route == "blob" && after == 0 { // with no file at all the report would be read by pages
		h.fault(defendersim.Fault{Route: "software_vulnerabilities", Status: http.StatusBadGateway})
	}
	failure := defendersim.Fault{ID: brokenPage, Route: l.route, After: after, Status: http.StatusBadGateway}
	if after%2 == 1 {
		failure.Status, failure.ResetAfter = 0, 15 // which is less than a file without rows takes
	}
	h.fault(failure)
}

const brokenPage = "the page that fails"

// hasBroken tells whether there was a page to break.
func (h *house) hasBroken() bool {
	return slices.ContainsFunc(h.sim.Faults(), func(f defendersim.FaultState) bool { return f.ID == brokenPage && f.Struck > 0 })
}
