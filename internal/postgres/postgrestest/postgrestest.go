// Package postgrestest gives each test a migrated database of its own.
package postgrestest

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
	"pgp.internal/defender/migrations"
)

// Actor answers for what tests do without naming anybody.
var Actor = audit.Actor{Kind: audit.System, Name: "test"}

// New returns a store on a fresh, migrated database that is dropped when the test ends. DATABASE_URL must name a server
// where its user may create databases and roles; without it the test fails, because a skipped test proves nothing.
func New(t testing.TB) *postgres.Store {
	t.Helper()
	return Open(t, URL(t), postgres.ForWork())
}

// Open opens a further store on the database of a test, closed when the test ends.
func Open(t testing.TB, dsn string, o postgres.Options) *postgres.Store {
	t.Helper()
	if o.Actor == (audit.Actor{}) {
		o.Actor = Actor
	}
	return OpenUnnamed(t, dsn, o)
}

// OpenUnnamed is Open for those who name the actor of each change, as the API does.
func OpenUnnamed(t testing.TB, dsn string, o postgres.Options) *postgres.Store {
	t.Helper()
	if o.KeySeals == nil {
		o.KeySeals = keySeals()
	}
	o.MaxConns = min(o.MaxConns, 8) // many tests share one server
	store, err := postgres.Open(context.Background(), dsn, o, slog.New(slog.DiscardHandler))
	for try := 1; err != nil && try < openTries; try++ {
		store, err = postgres.Open(context.Background(), dsn, o, slog.New(slog.DiscardHandler))
	}
	if err != nil {
		t.Fatalf("open the test database: %v", err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// openTries are needed where many packages are tested at once: a store gives a connection few seconds to come about, as it should.
const openTries = 5

// keySeals are the same for all stores of a test run that do not bring theirs.
var keySeals = sync.OnceValue(func() *tenant.KeySeals {
	ring, err := seal.ParseRing(seal.NewKey().Reveal())
	if err != nil {
		panic(err)
	}
	return tenant.NewKeySeals(ring)
})

// URL creates a fresh, migrated database and returns the owner's URL of it. It is dropped when the test ends.
func URL(t testing.TB) string {
	t.Helper()
	server := os.Getenv("DATABASE_URL")
	if server == "" {
		t.Fatal("DATABASE_URL is not set: run the tests with \"make test\", which brings a PostgreSQL along")
	}
	template, err := ensureTemplate(server)
	if err != nil {
		t.Fatalf("prepare the template database: %v", err)
	}
	name := "t_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	if err := execOn(server, fmt.Sprintf("create database %s template %s", name, template)); err != nil {
		t.Fatalf("create the test database: %v", err)
	}
	t.Cleanup(func() {
		if err := execOn(server, fmt.Sprintf("drop database if exists %s with (force)", name)); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return withDatabase(server, name)
}

var templateOnce = sync.OnceValues(func() (string, error) { return makeTemplate(os.Getenv("DATABASE_URL")) })

func ensureTemplate(string) (string, error) { return templateOnce() }

// templateLock is an arbitrary number that serialises the packages of a test run, which are separate processes.
const templateLock = 7_402_118

// makeTemplate migrates a database once per content of the migrations; all clones are made from it.
func makeTemplate(server string) (string, error) {
	name := "template_" + migrationsHash()
	db, err := sql.Open("postgres", server)
	if err != nil {
		return "", err
	}
	defer db.Close()
	ctx := context.Background()
	conn, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "select pg_advisory_lock($1)", templateLock); err != nil {
		return "", err
	}
	defer func() { _, _ = conn.ExecContext(ctx, "select pg_advisory_unlock($1)", templateLock) }()
	var ready bool
	if err := conn.QueryRowContext(ctx, "select exists (select from pg_database where datname = $1 and datistemplate)", name).Scan(&ready); err != nil || ready {
		return name, err
	}
	if _, err := conn.ExecContext(ctx, "drop database if exists "+name); err != nil {
		return "", err
	}
	if _, err := conn.ExecContext(ctx, "create database "+name); err != nil {
		return "", err
	}
	if _, err := postgres.Migrate(ctx, withDatabase(server, name)); err != nil {
		return "", err
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("alter database %s is_template true", name))
	return name, err
}

func migrationsHash() string {
	h := sha256.New()
	files, _ := fs.Glob(migrations.Files, "*.sql")
	for _, f := range files {
		body, _ := migrations.Files.ReadFile(f)
		fmt.Fprintf(h, "%s %d\n%s", f, len(body), body)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func execOn(server, statement string) error {
	db, err := sql.Open("postgres", server)
	if err != nil {
		return err
	}
	defer db.Close()
	_, err = db.Exec(statement)
	return err
}

func withDatabase(server, name string) string {
	u, err := url.Parse(server)
	if err != nil || u.Scheme == "" {
		return server + " dbname=" + name
	}
	u.Path = "/" + name
	return u.String()
}
