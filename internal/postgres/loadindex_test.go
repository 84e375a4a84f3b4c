package postgres_test

import (
	"database/sql"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestIndexesAreBuiltWithoutParallelWorkersBesideOthers looks how many workers an index of a first import may ask for while jobs of the tenant
// itself, jobs of another one, and claims that have run out stand in the queue. The database is an ordinary owner's, whom the tenants' walls hold.
func TestIndexesAreBuiltWithoutParallelWorkersBesideOthers(t *testing.T) {
	t.Parallel()
	postgrestest.URL(t) // the role of the application exists on this server from here on
	dsn := ordinaryOwner(t)
	if _, err := postgres.Migrate(t.Context(), dsn); err != nil {
		t.Fatal(err)
	}
	db := openOwner(t, dsn)
	_, err := db.ExecContext(t.Context(), `
		set local app.system = 'on';
		insert into tenant (public_id, name) values (gen_random_uuid(), 'Large'), (gen_random_uuid(), 'Small');
		insert into job (tenant_id, kind, subject, run_id, state, lease_until) values (1, 'sync', gen_random_uuid(), 1, 'running', now() + interval '1 hour'),
		  (2, 'sync', gen_random_uuid(), 2, 'queued', null), (2, 'sync', gen_random_uuid(), 3, 'running', now() - interval '1 second')`)
	if err != nil {
		t.Fatal(err)
	}
	if got := workersOfAnIndex(t, db, "load_index()"); got != 2 {
		t.Errorf("alone: %d workers", got)
	}
	if _, err := db.ExecContext(t.Context(), `set local app.system = 'on'; update job set lease_until = now() + interval '1 hour' where run_id = 3`); err != nil {
		t.Fatal(err)
	}
	if got := workersOfAnIndex(t, db, "load_index()"); got != 0 {
		t.Errorf("beside another import: %d workers", got)
	}
	if got := workersOfAnIndex(t, db, "load_index(hurry => true)"); got != 2 {
		t.Errorf("with another import that waits for it: %d workers", got)
	}
}

// workersOfAnIndex is the setting that the last index of a load was built with, in a transaction that is taken back.
func workersOfAnIndex(t *testing.T, db *sql.DB, call string) (workers int) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	_, err = tx.ExecContext(t.Context(), `set local app.tenant_id = '1'; set local role defender_app; set local max_parallel_maintenance_workers = 2;
		select load_begin(now()); select `+call)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.QueryRowContext(t.Context(), `select current_setting('max_parallel_maintenance_workers')::int`).Scan(&workers); err != nil {
		t.Fatal(err)
	}
	return workers
}
