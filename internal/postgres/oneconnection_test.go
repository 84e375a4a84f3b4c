package postgres_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// oneConnection opens a store of requests whose statements all take the same connection.
func oneConnection(t testing.TB, url string) *postgres.Store {
	t.Helper()
	options := postgres.ForRequests()
	options.MaxConns = 1
	return postgrestest.Open(t, url, options)
}

// TestTheTenantsSettingEndsWithItsTransaction lets five tenants take turns on a single connection, 10,000 times, where what they do
// succeeds, fails, is cancelled, panics or reaches for another tenant. None sees a row of another, and in between nobody sees any.
func TestTheTenantsSettingEndsWithItsTransaction(t *testing.T) {
	t.Parallel()
	store := oneConnection(t, postgrestest.URL(t))
	var tenants []tenant.ID
	for range 5 {
		created, err := store.CreateTenant(t.Context(), "Example", "")
		if err != nil {
			t.Fatal(err)
		}
		text := tenant.NewKey()
		if _, err := store.CreateAPIKey(t.Context(), created.ID, tenant.APIKey{Name: "k", Role: tenant.Admin, ExpiresAt: time.Now().Add(time.Hour)}, text); err != nil {
			t.Fatal(err)
		}
		tenants = append(tenants, created.ID)
	}
	turns := []func(*testing.T, *postgres.Store, tenant.ID, tenant.ID){looks, looks, fails, isCancelled, panics, reaches}
	chance := rand.New(rand.NewPCG(1, 2))
	for n := range 10_000 {
		i := chance.IntN(len(tenants))
		turns[chance.IntN(len(turns))](t, store, tenants[i], tenants[(i+1)%len(tenants)])
		var tenantSetting, systemSetting string
		var visible int
		err := store.DB().QueryRow(`select coalesce(current_setting('app.tenant_id', true), ''), coalesce(current_setting('app.system', true), ''), (select count(*) from api_key)`).
			Scan(&tenantSetting, &systemSetting, &visible)
		if err != nil || tenantSetting != "" || systemSetting != "" || visible != 0 {
			t.Fatalf("after turn %d: %q, %q, %d rows, %v", n, tenantSetting, systemSetting, visible, err)
		}
	}
}

func looks(t *testing.T, s *postgres.Store, id, _ tenant.ID) {
	var all, own int
	err := s.InTenant(t.Context(), id, func(tx *sqlx.Tx) error {
		return tx.QueryRow(`select count(*), count(*) filter (where tenant_id = $1) from api_key`, id).Scan(&all, &own)
	})
	if err != nil || all != 1 || own != 1 {
		t.Fatalf("%d rows, %d of them its own: %v", all, own, err)
	}
}

func fails(t *testing.T, s *postgres.Store, id, _ tenant.ID) {
	err := s.InTenant(t.Context(), id, func(tx *sqlx.Tx) error {
		_, err := tx.Exec(`select 1 / (select count(*) from api_key where false)`)
		return err
	})
	if err == nil {
		t.Fatal("a division by zero succeeded")
	}
}

func isCancelled(t *testing.T, s *postgres.Store, id, _ tenant.ID) {
	ctx, cancel := context.WithCancel(t.Context())
	err := s.InTenant(ctx, id, func(tx *sqlx.Tx) error {
		cancel()
		_, err := tx.ExecContext(ctx, `select 1`)
		return err
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
}

func panics(t *testing.T, s *postgres.Store, id, _ tenant.ID) {
	defer func() {
		if recover() == nil {
			t.Fatal("there was no panic")
		}
	}()
	_ = s.InTenant(t.Context(), id, func(*sqlx.Tx) error { panic("a defect") })
}

func reaches(t *testing.T, s *postgres.Store, id, other tenant.ID) {
	err := s.InTenant(t.Context(), id, func(tx *sqlx.Tx) error {
		_, err := tx.Exec(`insert into location (tenant_id, id) values ($1, 1)`, other)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "row-level security") {
		t.Fatalf("a row of another tenant: %v", err)
	}
}
