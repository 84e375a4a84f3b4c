package job_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// yard is a queue in a real database, with as many tenants and jobs as a test wants.
type yard struct {
	t     *testing.T
	url   string
	store *postgres.Store
}

func newYard(t *testing.T) *yard {
	t.Helper()
	url := postgrestest.URL(t)
	return &yard{t: t, url: url, store: postgrestest.Open(t, url, postgres.ForWork())}
}

func (y *yard) tenant() tenant.ID {
	y.t.Helper()
	created, err := y.store.CreateTenant(y.t.Context(), "Contoso", "")
	if err != nil {
		y.t.Fatal(err)
	}
	return created.ID
}

// add connects a directory, whose first run waits in the queue.
func (y *yard) add(t tenant.ID) connector.Integration {
	y.t.Helper()
	i, err := y.store.CreateIntegration(y.t.Context(), connector.Integration{
		Tenant: t, PublicID: uuid.Must(uuid.NewV7()), Kind: "microsoft-defender", Name: "x", DirectoryID: uuid.NewString(),
		ClientID: uuid.NewString(), Method: connector.MethodSecret, SecretBox: []byte("box"), Settings: inventory.DefaultSettings(), IntervalHours: 24,
		State: connector.StateActive, SecretUpdatedAt: time.Now(),
	})
	if err != nil {
		y.t.Fatal(err)
	}
	return i
}

func (y *yard) exec(statement string, args ...any) {
	y.t.Helper()
	db, err := sql.Open("postgres", y.url)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.ExecContext(y.t.Context(), statement, args...); err != nil {
		y.t.Fatal(err)
	}
}

// row describes the only job of the queue: state and attempts.
func (y *yard) row() string {
	y.t.Helper()
	db, err := sql.Open("postgres", y.url)
	if err != nil {
		y.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var state, code string
	var attempt int
	err = db.QueryRow(`select state, attempt, last_error from job`).Scan(&state, &attempt, &code)
	if errors.Is(err, sql.ErrNoRows) {
		return "none"
	}
	if err != nil {
		y.t.Fatal(err)
	}
	return fmt.Sprintf("%s after %d %s", state, attempt, code)
}
