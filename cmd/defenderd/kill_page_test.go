//go:build soak

package main

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// pagedList is a list that is read page by page, or file by file.
type pagedList struct {
	name   string
	route  string            // of its pages, as the simulator calls it
	ours   func(string) bool // the query of one; nil where all on the route are
	scene  scene
	atOnce int                       // so many of them are read at a time
	first  bool                      // first syncs read it, too
	grow   func(*victim, int)        // makes later syncs read more of it; nil where they read enough
	renew  func(s *victim, turn int) // gives the next sync of this turn something to read
	pages  int                       // at least, for this to be a test
}

// counts tells a page of Microsoft's own counts of machines from one of the catalogue.
func counts(query string) bool { return strings.Contains(query, "exposedMachines") }

// once keeps the catalogue from being read again by a sync that goes on.
const once = "DEFENDERD_CATALOGUE_MAX_AGE=1h"

// pagedLists are all of them, in small pages.
var pagedLists = []pagedList{
	{name: "machines", route: "machines", scene: scene{page: 80, env: []string{once}}, atOnce: 1, first: true, renew: shift, pages: 6},
	{name: "catalogue", route: "vulnerabilities", ours: func(query string) bool { return !counts(query) }, scene: scene{page: 350}, atOnce: 1, first: true, renew: forgetCatalogue, pages: 6},
	{name: "counts of machines", route: "vulnerabilities", ours: counts, scene: scene{page: 250, env: []string{once}}, atOnce: 1, renew: shift, pages: 5},
	{name: "report by pages", route: "software_vulnerabilities", scene: scene{env: []string{once, "DEFENDERD_ROWS_PAGE_SIZE=2500"}},
		atOnce: 1, first: true, renew: shift, pages: 7},
	{name: "report by changes", route: "software_vulnerability_changes",
		scene: scene{env: []string{once, "DEFENDERD_ROWS_PAGE_SIZE=1500", "DEFENDERD_REPORT_WHOLE_ROWS=0"}}, atOnce: 1, grow: changeRows(40), renew: changeRows(1), pages: 6},
	{name: "report by files", route: "blob", scene: scene{files: 8, env: []string{once, "DEFENDERD_REPORT_FILES_ROWS=1"}}, atOnce: 2, renew: shift, pages: 8},
	{name: "mapping", route: "machines_vulnerabilities", atOnce: 1, first: true, renew: func(*victim, int) {}, pages: 6,
		scene: scene{page: 2500, plain: true, env: []string{once}, always: []defendersim.Fault{{Route: "software_vulnerabilities", Status: http.StatusNotFound}}}},
}

// TestKilledAtEachPage kills the service once between any two pages of each list, in first syncs and in later ones. The run then
// goes on behind the last page that it had: no page of any list that it has read whole is asked for again.
func TestKilledAtEachPage(t *testing.T) {
	for i := range pagedLists {
		l := &pagedLists[i]
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			pages := 2
			for page := 1; l.first && page < pages; page++ {
				pages = newVictim(t, l.scene).killAtPage(l, page, l.atOnce)
			}
			s := newVictim(t, l.scene)
			s.recover()
			if l.grow != nil {
				l.grow(s, 0)
			}
			if pages = s.pagesOf(l); pages < l.pages {
				t.Errorf("there are only %d pages", pages)
			}
			for page := 1; page < pages; page++ {
				l.renew(s, page)
				s.killAtPage(l, page, min(l.atOnce, pages-page))
			}
			t.Logf("killed between any two of %d pages", pages)
		})
	}
}

func (l *pagedList) has(e defendersim.Entry) bool {
	return e.Route == l.route && (l.ours == nil || l.ours(e.Query))
}

// pagesOf counts the pages that a sync reads which nobody disturbs.
func (s *victim) pagesOf(l *pagedList) int {
	s.t.Helper()
	l.renew(s, 0)
	s.sim.ClearJournal()
	s.recover()
	return len(s.asked(l.has))
}

// killAtPage kills a sync that has read so many pages of a list and waits for so many others, lets it end, and returns how many
// pages of the list there were.
func (s *victim) killAtPage(l *pagedList, page, waiting int) (pages int) {
	s.t.Helper()
	s.sim.ClearJournal()
	release := s.holdCall(defendersim.Fault{Route: l.route, After: page})
	defer release()
	read := func(e defendersim.Entry) bool { return l.has(e) && e.Status == http.StatusOK }
	s.until("the pages before are read, and those behind asked for", func() bool {
		waits := slices.ContainsFunc(s.sim.Faults(), func(f defendersim.FaultState) bool { return f.Hold && f.Waiting == waiting })
		return waits && len(s.asked(read)) == page && (l.atOnce == 1 || s.keptFiles() == page)
	})
	s.kill()
	s.endLease()
	before := s.asked(func(e defendersim.Entry) bool { return e.Status == http.StatusOK })
	release()
	s.sim.ClearJournal()
	s.start()
	s.awaitIdle()
	for place, times := range s.asked(func(e defendersim.Entry) bool { return true }) {
		if before[place] > 0 || times > 1 {
			s.t.Errorf("killed after page %d: %s was read before, and %d times again", page, place, times)
		}
	}
	s.mustEqualTruth()
	s.mustBeTidy()
	s.stop()
	return page + len(s.asked(read))
}

// keptFiles counts the files that were read to their end: where several are read at once, that the next one is asked for says
// nothing of the others.
func (s *victim) keptFiles() (n int) {
	s.t.Helper()
	indexes, err := filepath.Glob(filepath.Join(s.spool, "*", "file-*.index"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, path := range indexes {
		if text, err := os.ReadFile(path); err == nil && bytes.Count(text, []byte("\n")) == 2 { // a head, and a line for the one page
			n++
		}
	}
	return n
}

// asked counts the calls for pages of any list, by page.
func (s *victim) asked(which func(defendersim.Entry) bool) map[string]int {
	places := map[string]int{}
	for _, e := range s.sim.Journal(10_000) {
		listed := slices.ContainsFunc(pagedLists, func(l pagedList) bool { return l.route == e.Route })
		if !listed || e.Status == http.StatusNotFound || !which(e) { // a way that is closed has no pages
			continue
		}
		place := e.Path
		if e.Route != "blob" { // what is behind the path of a file is its signature
			place += "?" + e.Query
		}
		places[place]++
	}
	return places
}

// shift changes rows and machines, as many of which leave as come back.
func shift(s *victim, turn int) {
	s.t.Helper()
	changes := laterChanges(turn)
	if turn > 0 {
		changes = append(changes, world.Change{Op: "restore_machines", From: 10 * (turn - 1), To: 10*(turn-1) + 5})
	}
	s.change(changes...)
}

// changeRows changes so many of a hundred rows.
func changeRows(percent float64) func(*victim, int) {
	return func(s *victim, _ int) {
		s.t.Helper()
		s.change(world.Change{Op: "change_rows", Percent: percent, Pattern: "scattered"})
	}
}

func (s *victim) change(changes ...world.Change) {
	s.t.Helper()
	if err := s.sim.Change(killDirectory, changes...); err != nil {
		s.t.Fatal(err)
	}
}

// forgetCatalogue makes the next sync read it whole.
func forgetCatalogue(s *victim, _ int) { s.exec(`delete from catalogue_read`) }

// endLease lets the next process take up what the killed one had claimed, without the seconds that this takes by itself.
func (s *victim) endLease() { s.exec(`update job set lease_until = now() where state = 'running'`) }

func (s *victim) exec(statement string) {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		s.t.Fatal(err)
	}
}
