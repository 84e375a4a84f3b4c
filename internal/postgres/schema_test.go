package postgres_test

import (
	"context"
	"database/sql"
	"slices"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// shared lists the tables that hold no tenant's data; every other table needs the wall.
var shared = []string{"vulnerability", "vulnerability_words", "software", "catalogue_read", "keyring_check", "upstream_quota", "upstream_breaker", "schema_migrations"}

// TestEveryTenantTableIsBehindTheWall looks for the policy by its name too: by it a deletion tells the product's tables from others.
func TestEveryTenantTableIsBehindTheWall(t *testing.T) {
	t.Parallel()
	db := ownerDB(t)
	rows, err := db.Query(`
		select c.relname, c.relrowsecurity and c.relforcerowsecurity,
		       exists (select from pg_policy p where p.polrelid = c.oid and p.polname = 'tenant_wall'),
		       has_table_privilege('defender_app', c.oid, 'truncate, trigger, references'),
		       c.relispartition and has_table_privilege('defender_app', c.oid, 'select, insert, update, delete')
		from pg_class c
		where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	seen := 0
	for rows.Next() {
		var name string
		var forced, policy, tooMuch, direct bool
		if err := rows.Scan(&name, &forced, &policy, &tooMuch, &direct); err != nil {
			t.Fatal(err)
		}
		seen++
		if tooMuch || direct {
			t.Errorf("%s: the application role has privileges it does not need", name)
		}
		if !slices.Contains(shared, name) && (!forced || !policy) {
			t.Errorf("%s: row-level security forced=%v, policy=%v; want both", name, forced, policy)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if seen < 14 {
		t.Fatalf("only %d tables seen: the query looks in the wrong place", seen)
	}
}

func TestApplicationRoleOwnsNothingAndBypassesNothing(t *testing.T) {
	t.Parallel()
	db := ownerDB(t)
	var super, bypass, create bool
	var owned int
	err := db.QueryRow(`
		select rolsuper, rolbypassrls, rolcreaterole or rolcreatedb,
		       (select count(*) from pg_class where relowner = r.oid)
		from pg_roles r where rolname = 'defender_app'`).Scan(&super, &bypass, &create, &owned)
	if err != nil {
		t.Fatal(err)
	}
	if super || bypass || create || owned != 0 {
		t.Fatalf("super=%v bypassrls=%v create=%v owned=%d, want none", super, bypass, create, owned)
	}
}

func TestMigrationsGoDownAndUpAgain(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	ctx := context.Background()
	status, err := postgres.SchemaStatus(ctx, url)
	if err != nil || status.Dirty || status.Version != status.Latest || status.Latest == 0 {
		t.Fatalf("status of a fresh database: %+v, %v", status, err)
	}
	down, err := postgres.MigrateDown(ctx, url, int(status.Latest))
	if err != nil || down.Version != 0 {
		t.Fatalf("all the way down: %+v, %v", down, err)
	}
	again, err := postgres.Migrate(ctx, url)
	if err != nil || again.Version != status.Latest {
		t.Fatalf("up again: %+v, %v", again, err)
	}
}

func ownerDB(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", postgrestest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}
