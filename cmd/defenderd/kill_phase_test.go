//go:build soak

package main

import (
	"context"
	"database/sql"
	"os"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/connector/defender/defendersim/world"
)

// killPhase is a place inside a sync where the service can be made to stand still: a call to Microsoft that is not
// answered, or a lock on a table that it has to write next.
type killPhase struct {
	name string
	hold defendersim.Fault // of a call
	lock string            // a table
}

// killPhases are in the order of a sync.
var killPhases = []killPhase{
	{name: "asking for a token", hold: defendersim.Fault{Route: "token"}},
	{name: "reading machines", hold: defendersim.Fault{Route: "machines"}},
	{name: "applying machines", lock: "asset"},
	{name: "reading the catalogue", hold: defendersim.Fault{Route: "vulnerabilities"}},
	{name: "storing the catalogue", lock: "vulnerability"},
	{name: "reading the first rows", hold: defendersim.Fault{Route: "software_vulnerabilities"}},
	{name: "reading later rows", hold: defendersim.Fault{Route: "software_vulnerabilities", After: 3}},
	{name: "numbering software", lock: "software"},
	{name: "counting findings", lock: "exposure"},
	{name: "writing what surrounds findings", lock: "location"},
	{name: "attaching the partition", lock: "finding_shared"},
	{name: "recording the end", lock: "integration"},
}

// TestKilledInEachPhase kills the service in every phase of a tenant's first sync, and then in every phase of a later
// one while the directory has changed. After each kill the next sync has to make the tables equal to the directory, and
// nothing of the killed one may be left: no table, no file, no run.
func TestKilledInEachPhase(t *testing.T) {
	for _, phase := range killPhases {
		t.Run("first sync, "+phase.name, func(t *testing.T) {
			s := newVictim(t)
			s.killIn(phase)
			s.recover()
		})
	}
	t.Run("later syncs", func(t *testing.T) {
		s := newVictim(t)
		s.recover()
		for i, phase := range killPhases {
			if phase.lock == "finding_shared" {
				continue // partitions are attached by first syncs only
			}
			t.Log(phase.name)
			if err := s.sim.Change(killDirectory, laterChanges(i)...); err != nil {
				t.Fatal(err)
			}
			s.killIn(phase)
			s.recover()
		}
	})
}

// laterChanges give a sync something to do in every phase.
func laterChanges(turn int) []world.Change {
	percent := 20.0
	return []world.Change{
		{Op: "change_rows", Percent: percent, Pattern: "scattered"},
		{Op: "remove_machines", From: 10 * turn, To: 10*turn + 5},
	}
}

// killIn starts the service, waits until its sync stands still in the phase, and kills it.
func (s *victim) killIn(phase killPhase) {
	s.t.Helper()
	if phase.lock != "" {
		release := s.lockTable(phase.lock)
		defer release()
		s.begin()
		s.until("the sync waits for "+phase.lock, func() bool { return s.waitsFor(phase.lock) })
	} else {
		hold := phase.hold
		hold.Hold = true
		id, err := s.sim.AddFault(hold)
		if err != nil {
			s.t.Fatal(err)
		}
		defer s.sim.ClearFaults()
		s.begin()
		ctx, cancel := context.WithTimeout(s.t.Context(), killPatience)
		defer cancel()
		if err := s.sim.AwaitFault(ctx, id); err != nil {
			s.t.Fatal(err)
		}
	}
	s.kill()
}

// begin starts the service with a sync to do.
func (s *victim) begin() {
	s.t.Helper()
	s.start()
	s.requestRun()
}

// recover starts the service again, lets it end what was begun, and checks a further sync.
func (s *victim) recover() {
	s.t.Helper()
	s.start()
	s.awaitIdle()
	s.requestRun()
	s.awaitIdle()
	s.mustEqualTruth()
	s.mustBeTidy()
	s.stop()
}

// mustBeTidy looks for what a sync makes for itself alone.
func (s *victim) mustBeTidy() {
	s.t.Helper()
	db := s.database()
	defer db.Close()
	for what, query := range map[string]string{
		"tables of findings that are no partition": `select relname from pg_class where relname ~ '^finding_t[0-9]+$' and oid not in (select inhrelid from pg_inherits)`,
		"temporary tables":                         `select relname from pg_class where relpersistence = 't' and relkind = 'r'`,
	} {
		// The sessions of a killed process and of the last stage end a moment after it.
		s.until("there are no "+what, func() bool { return len(texts(s.t, db, query)) == 0 })
	}
	files, err := os.ReadDir(s.spool)
	if err != nil || len(files) > 0 {
		s.t.Errorf("spool files: %v, %v", files, err)
	}
}

func (s *victim) database() *sql.DB {
	s.t.Helper()
	db, err := sql.Open("postgres", s.dsn)
	if err != nil {
		s.t.Fatal(err)
	}
	return db
}

// lockTable keeps everybody from writing to a table until release.
func (s *victim) lockTable(name string) (release func()) {
	s.t.Helper()
	db := s.database()
	tx, err := db.Begin()
	if err == nil {
		_, err = tx.Exec("lock table " + name + " in share mode")
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return func() { _ = tx.Rollback(); _ = db.Close() }
}

func (s *victim) waitsFor(table string) bool {
	db := s.database()
	defer db.Close()
	return len(texts(s.t, db, `select 'x' from pg_locks where relation = '`+table+`'::regclass and not granted`)) > 0
}

// TestKilledAtEachPage kills the service once between any two pages of the vulnerability report, in first syncs and in
// later ones. The run then goes on behind the last page that it had: no page but the one in flight is asked for twice.
func TestKilledAtEachPage(t *testing.T) {
	pages := 0
	t.Run("first syncs", func(t *testing.T) {
		for page := 1; page == 1 || page < pages; page += 3 {
			s := newVictim(t)
			pages = s.killAtPage(page)
		}
	})
	t.Run("later syncs", func(t *testing.T) {
		s := newVictim(t)
		s.recover()
		for page := 1; page < pages-1; page++ { // machines leave, and the report may lose a page with them
			if err := s.sim.Change(killDirectory, laterChanges(page)...); err != nil {
				t.Fatal(err)
			}
			pages = s.killAtPage(page)
		}
	})
	if pages < 7 {
		t.Errorf("the report has only %d pages", pages)
	}
}

// killAtPage kills a sync that has read so many pages, lets it end, and returns how many pages there were.
func (s *victim) killAtPage(page int) (pages int) {
	s.t.Helper()
	s.sim.ClearJournal()
	s.killIn(killPhase{name: "between pages", hold: defendersim.Fault{Route: "software_vulnerabilities", After: page}})
	s.start()
	s.awaitIdle()
	asked := map[string]int{}
	for _, e := range s.sim.Journal(10_000) {
		if e.Route == "software_vulnerabilities" {
			asked[e.Query]++
		}
	}
	twice := 0
	for query, times := range asked {
		if twice += times - 1; times > 1 && query == "pageSize=2000" {
			s.t.Errorf("killed after page %d: the first page was read again", page)
		}
	}
	if twice != 1 {
		s.t.Errorf("killed after page %d: %d pages were asked for again, want the one in flight", page, twice)
	}
	s.mustEqualTruth()
	s.mustBeTidy()
	s.stop()
	return len(asked)
}
