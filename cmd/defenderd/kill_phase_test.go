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
	name  string
	hold  defendersim.Fault // of a call
	lock  string            // a table
	first bool              // it is in first syncs only, which make a partition
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
	{name: "protecting the partition, which is copied and indexed", lock: "pg_policy", first: true},
	{name: "attaching the partition", lock: "finding_shared", first: true},
	{name: "recording the end", lock: "integration"},
}

// TestKilledInEachPhase kills the service in every phase of a tenant's first sync, in those that wait for a table also where tenants share their partitions, and then in every phase of a later
// one while the directory has changed. After each kill the next sync has to make the tables equal to the directory, and
// nothing of the killed one may be left: no table, no file, no run.
func TestKilledInEachPhase(t *testing.T) {
	for _, phase := range killPhases {
		t.Run("first sync, "+phase.name, func(t *testing.T) {
			t.Parallel()
			s := newVictim(t)
			s.killIn(phase)
			s.recover()
		})
	}
	for _, phase := range killPhases {
		if phase.first || phase.lock == "" {
			continue
		}
		t.Run("first sync into the shared partitions, "+phase.name, func(t *testing.T) {
			t.Parallel()
			s := newVictim(t, scene{env: []string{"DEFENDERD_TENANT_PARTITIONS=0"}})
			s.killIn(phase)
			s.recover()
		})
	}
	t.Run("later syncs", func(t *testing.T) {
		t.Parallel()
		s := newVictim(t)
		s.recover()
		for i, phase := range killPhases {
			if phase.first {
				continue
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
		{Op: "replace_findings", Percent: percent, Pattern: "scattered"},
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
		release := s.holdCall(phase.hold)
		defer release()
	}
	s.kill()
}

// holdCall starts the service and waits until its sync waits for the answer to a call, which is not given until release.
func (s *victim) holdCall(hold defendersim.Fault) (release func()) {
	s.t.Helper()
	hold.Hold = true
	id, err := s.sim.AddFault(hold)
	if err != nil {
		s.t.Fatal(err)
	}
	s.begin()
	ctx, cancel := context.WithTimeout(s.t.Context(), killPatience)
	defer cancel()
	if err := s.sim.AwaitFault(ctx, id); err != nil {
		s.t.Fatal(err)
	}
	return func() { s.sim.RemoveFault(id) }
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
	return len(texts(s.t, db, `
		select 'x' from pg_locks where relation = '`+table+`'::regclass and not granted
		  and database = (select oid from pg_database where datname = current_database())`)) > 0
}
