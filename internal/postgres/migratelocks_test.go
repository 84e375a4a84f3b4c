package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// olderVersion is one from which the way up changes the queue's table.
const olderVersion = 13

// outdated gives a database of an older version, where a transaction has read the queue and is not over.
func outdated(t *testing.T) (url string, owner *sql.DB, reading *sql.Tx) {
	t.Helper()
	url = postgrestest.URL(t)
	status, err := postgres.SchemaStatus(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := postgres.MigrateDown(t.Context(), url, int(status.Version-olderVersion)); err != nil {
		t.Fatal(err)
	}
	owner = openOwner(t, url)
	if reading, err = owner.Begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reading.Rollback() })
	if _, err := reading.Exec("set local application_name = 'a long report'; select from job"); err != nil {
		t.Fatal(err)
	}
	return url, owner, reading
}

// TestAMigrationHoldsNobodyUpForLong has others read the table that a migration waits for, as patiently as requests are. The migration
// gives up, says who is in the way, and leaves no mark.
func TestAMigrationHoldsNobodyUpForLong(t *testing.T) {
	t.Parallel()
	url, owner, _ := outdated(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		_, err := postgres.MigrateWithin(ctx, url, 300*time.Millisecond, 100*time.Millisecond, 4)
		ended <- err
	}()
	var err error
	for over := false; !over; {
		if _, readErr := owner.Exec("set lock_timeout = '2s'; select from job"); readErr != nil {
			t.Fatalf("a reader: %v", readErr)
		}
		select {
		case err = <-ended:
			over = true
		default:
		}
	}
	if !fault.Is(err, fault.CodeUnavailable) {
		t.Fatalf("the migration ends with %v", err)
	}
	for _, told := range []string{"a long report", fmt.Sprintf("stays at version %d", olderVersion), "in 4 tries", "migrate again"} {
		if !strings.Contains(err.Error(), told) {
			t.Errorf("does not tell %q: %v", told, err)
		}
	}
	if status, err := postgres.SchemaStatus(t.Context(), url); err != nil || status.Dirty || status.Version != olderVersion {
		t.Errorf("afterwards the schema is at %+v, %v", status, err)
	}
}

// TestAMigrationGoesThroughOnceTheWayIsFree ends the transaction that is in the way after the migration has been refused the lock.
func TestAMigrationGoesThroughOnceTheWayIsFree(t *testing.T) {
	t.Parallel()
	url, owner, reading := outdated(t)
	type end struct {
		status postgres.MigrationStatus
		err    error
	}
	ended := make(chan end, 1)
	go func() {
		status, err := postgres.MigrateWithin(t.Context(), url, 200*time.Millisecond, 10*time.Millisecond, 1000)
		ended <- end{status, err}
	}()
	// Each wait for the lock begins at a time of its own.
	waits := map[time.Time]bool{}
	for len(waits) < 2 {
		var since sql.NullTime
		err := owner.QueryRow(`select max(l.waitstart) from pg_locks l where not l.granted and l.relation = 'job'::regclass and l.mode = 'AccessExclusiveLock'`).Scan(&since)
		if err != nil {
			t.Fatal(err)
		}
		if since.Valid {
			waits[since.Time] = true
		}
		select {
		case e := <-ended:
			t.Fatalf("ended early at %+v, %v", e.status, e.err)
		default:
		}
	}
	if err := reading.Rollback(); err != nil {
		t.Fatal(err)
	}
	if e := <-ended; e.err != nil || e.status.Dirty || e.status.Version != e.status.Latest {
		t.Errorf("the migration: %+v, %v", e.status, e.err)
	}
}

// TestEachKindOfConnectionHasItsTimeOuts asks the server what it took of them.
func TestEachKindOfConnectionHasItsTimeOuts(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	reached := map[string]string{
		"tcp_keepalives_idle": "20", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3", "tcp_user_timeout": "50000",
		"client_connection_check_interval": "10s",
	}
	check := func(kind string, row func(string) *sql.Row, want map[string]string) {
		t.Helper()
		for name, value := range want {
			var got string
			if err := row("show " + name).Scan(&got); err != nil || got != value {
				t.Errorf("%s: %s is %q instead of %q, %v", kind, name, got, value, err)
			}
		}
	}
	long := map[string]string{"statement_timeout": "10min", "lock_timeout": "10s", "idle_in_transaction_session_timeout": "10min", "max_parallel_workers_per_gather": "2"}
	for _, c := range []struct {
		options postgres.Options
		name    string
		times   map[string]string
	}{
		{postgres.ForRequests(), "defenderd http", map[string]string{"statement_timeout": "3s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "3s", "max_parallel_workers_per_gather": "0"}},
		{postgres.ForWork(), "defenderd work", long},
		{postgres.ForOperator(), "defenderd operator", long},
	} {
		store := postgrestest.Open(t, url, c.options)
		row := func(query string) *sql.Row { return store.DB().QueryRow(query) }
		check(c.name, row, reached)
		check(c.name, row, c.times)
		check(c.name, row, map[string]string{"application_name": c.name, "role": "defender_app", "timezone": "UTC", "jit": "off"})
	}
	err := postgres.MigrationSettings(t.Context(), url, func(conn *sql.Conn) {
		row := func(query string) *sql.Row { return conn.QueryRowContext(t.Context(), query) }
		check("migration", row, reached)
		check("migration", row, map[string]string{
			"application_name": "defenderd migrate", "role": "none",
			"statement_timeout": "0", "lock_timeout": "1500ms", "idle_in_transaction_session_timeout": "1min",
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}
