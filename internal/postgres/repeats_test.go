package postgres_test

import (
	"crypto/sha256"
	"database/sql"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/repeat"
	"pgp.internal/defender/internal/tenant"
)

// TestALateAttemptChangesNothing lets one attempt take so long that another one takes its place; each then creates a key.
func TestALateAttemptChangesNothing(t *testing.T) {
	t.Parallel()
	store := postgrestest.New(t)
	owner, err := store.CreateTenant(t.Context(), "Example", "")
	if err != nil {
		t.Fatal(err)
	}
	attempt := func(within time.Duration) *repeat.Attempt {
		return &repeat.Attempt{Tenant: owner.ID, Name: sha256.Sum256([]byte("name")), Request: sha256.Sum256([]byte("request")), Holder: uuid.New(), Within: within}
	}
	create := func(a *repeat.Attempt) error {
		text := tenant.NewKey()
		_, err := store.CreateAPIKey(repeat.With(t.Context(), a), owner.ID, tenant.APIKey{Name: tenant.KeyHint(text), Role: tenant.Admin, ExpiresAt: time.Now().Add(time.Hour)}, text)
		return err
	}
	late, next, third := attempt(-time.Second), attempt(time.Minute), attempt(time.Minute)
	begin := func(a *repeat.Attempt) (repeat.Memory, bool) {
		m, mine, err := store.BeginRequest(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		return m, mine
	}
	if _, mine := begin(late); !mine {
		t.Fatal("a new name was not given")
	}
	if _, mine := begin(next); !mine {
		t.Fatal("an attempt whose time is over kept the name")
	}
	if m, mine := begin(third); mine || m.Done() {
		t.Fatalf("the name of an attempt under way was given away: %+v", m)
	}
	if err := create(late); !fault.Is(err, fault.CodeIdempotencyInProgress) {
		t.Errorf("the late attempt: %v", err)
	}
	if err := create(next); err != nil {
		t.Error(err)
	}
	if err := store.GiveUpRequest(t.Context(), next); err != nil {
		t.Error(err)
	}
	if kept, err := store.KeepAnswer(t.Context(), late, []byte("x")); kept || err != nil {
		t.Errorf("the late attempt kept its answer: %v, %v", kept, err)
	}
	if m, mine := begin(third); mine || !m.Done() || m.Request != next.Request || len(m.Answer) != 0 {
		t.Errorf("what was done is not remembered: %v %+v", mine, m)
	}
	keys, _, err := store.ListAPIKeys(t.Context(), owner.ID, inventory.PageRequest{Limit: 10})
	if err != nil || len(keys) != 1 {
		t.Errorf("%d keys, %v", len(keys), err)
	}
}

// TestPruneForgetsRequests keeps those that may still be repeated.
func TestPruneForgetsRequests(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	store := postgrestest.Open(t, url, postgres.ForWork())
	for _, name := range []string{"old", "young"} {
		a := &repeat.Attempt{Name: sha256.Sum256([]byte(name)), Holder: uuid.New(), Within: time.Minute}
		if _, mine, err := store.BeginRequest(t.Context(), a); !mine || err != nil {
			t.Fatal(mine, err)
		}
		if name == "old" {
			db, err := sql.Open("postgres", url)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = db.Close() }()
			if _, err := db.Exec(`update idempotency set created_at = now() - interval '24 hours 1 second'`); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n, more, err := store.Prune(t.Context(), time.Now()); n != 1 || more || err != nil {
		t.Errorf("%d, %v, %v", n, more, err)
	}
	if n, _, err := store.Prune(t.Context(), time.Now()); n != 0 || err != nil {
		t.Errorf("again: %d, %v", n, err)
	}
}
