package postgres_test

import (
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// An operator's usual account: it owns its database and may do nothing else on the server.
func TestAnOwnerWithoutOtherRightsMigratesAndServes(t *testing.T) {
	t.Parallel()
	postgrestest.URL(t) // the role of the application exists on this server from here on
	dsn, ctx := ordinaryOwner(t), t.Context()
	status, err := postgres.Migrate(ctx, dsn)
	if err != nil || status.Dirty || status.Version != status.Latest {
		t.Fatalf("migrate: %+v, %v", status, err)
	}
	store := postgrestest.Open(t, dsn, postgres.ForWork())
	created, err := store.CreateTenant(ctx, "Contoso", "")
	if err != nil {
		t.Fatalf("create a tenant: %v", err)
	}
	if _, err := store.Entitlement(ctx, created.ID); err != nil {
		t.Errorf("read as the tenant: %v", err)
	}
	readAsMember(t, dsn, status)
	if down, err := postgres.MigrateDown(ctx, dsn, int(status.Latest)); err != nil || down.Version != 0 {
		t.Errorf("all the way down: %+v, %v", down, err)
	}
}

// readAsMember checks the schema as a user who may only act as the application, as the daemon does when it starts.
func readAsMember(t *testing.T, owner string, want postgres.MigrationStatus) {
	t.Helper()
	dsn, err := url.Parse(owner)
	if err != nil {
		t.Fatal(err)
	}
	name, password := "m_"+strings.ReplaceAll(uuid.NewString(), "-", ""), uuid.NewString()
	db, err := sql.Open("postgres", os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec(fmt.Sprintf("create role %s login password '%s' in role defender_app", name, password)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := sqlExec(os.Getenv("DATABASE_URL"), "drop role "+name); err != nil {
			t.Error(err)
		}
	})
	dsn.User = url.UserPassword(name, password)
	if got, err := postgres.SchemaStatus(t.Context(), dsn.String()); err != nil || got != want {
		t.Errorf("a member of the application's role reads %+v, %v; want %+v", got, err, want)
	}
	if _, err := postgrestest.Open(t, dsn.String(), postgres.ForRequests()).CreateTenant(t.Context(), "Fabrikam", ""); err != nil {
		t.Errorf("a member of the application's role creates a tenant: %v", err)
	}
}

func sqlExec(dsn, statement string) (sql.Result, error) {
	db, err := sql.Open("postgres", dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	return db.Exec(statement)
}

// ordinaryOwner makes a database whose owner is no superuser and may not create roles.
func ordinaryOwner(t *testing.T) string {
	t.Helper()
	server, err := url.Parse(os.Getenv("DATABASE_URL"))
	if err != nil {
		t.Fatal(err)
	}
	name, password := "o_"+strings.ReplaceAll(uuid.NewString(), "-", ""), uuid.NewString()
	db, err := sql.Open("postgres", server.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, statement := range []string{"drop database if exists %s with (force)", "drop role if exists %s"} {
			if _, err := db.Exec(fmt.Sprintf(statement, name)); err != nil {
				t.Error(err)
			}
		}
		_ = db.Close()
	})
	for _, statement := range []string{
		"create role %[1]s login password '%[2]s' in role defender_app", "create database %[1]s owner %[1]s",
	} {
		if _, err := db.Exec(fmt.Sprintf(statement, name, password)); err != nil {
			t.Fatal(err)
		}
	}
	server.User, server.Path = url.UserPassword(name, password), "/"+name
	return server.String()
}
