//go:build soak

package postgres_test

import (
	"database/sql"
	"fmt"
	"testing"
	"time"

	"pgp.internal/defender/internal/pgserver"
	"pgp.internal/defender/internal/postgres"
)

// TestAnAutovacuumHoldsUpNoFirstImport has a PostgreSQL of its own vacuum a shared partition at a snail's pace while a tenant's own one is
// attached.
func TestAnAutovacuumHoldsUpNoFirstImport(t *testing.T) {
	server, err := pgserver.Start(t.Context(), pgserver.Options{Settings: []string{"autovacuum_naptime=1s"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	if _, err := postgres.Migrate(t.Context(), server.URL()); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("postgres", server.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	exec := func(statement string) {
		t.Helper()
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	read := func(query string, into any) {
		t.Helper()
		if err := db.QueryRowContext(t.Context(), query).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into tenant (public_id, name) values (gen_random_uuid(), 'Shared'), (gen_random_uuid(), 'New')`)
	exec(`insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
		select 1, n, 1, '{}', 1, 1, 1, 1, now(), now(), now() from generate_series(1, 60000) n`)
	var leaf string
	read(`select tableoid::regclass from finding limit 1`, &leaf)
	exec(fmt.Sprintf(`alter table %s set (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`, leaf))
	exec(`update finding set severity = 2`)
	const vacuums = `select count(*) from pg_stat_activity where backend_type = 'autovacuum worker' and query like '%' || $$finding_shared$$ || '%'`
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for running := 0; running == 0; <-tick.C {
		read(vacuums, &running)
	}
	exec(`set statement_timeout = '60s'; begin; set local app.tenant_id = '2'; select load_begin(now()); select load_index(); select load_attach(1); commit`)
	var attached int
	read(`select count(*) from pg_inherits where inhrelid = 'finding_t2'::regclass`, &attached)
	if attached != 1 {
		t.Error("the partition is not attached")
	}
}
