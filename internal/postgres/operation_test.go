package postgres_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

func newRing(t *testing.T, text string) *seal.Ring {
	t.Helper()
	ring, err := seal.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

func TestKeyringChecksKeepTheFirst(t *testing.T) {
	t.Parallel()
	store, ctx := postgrestest.New(t), context.Background()
	first := seal.NewKey().Reveal()
	ring := newRing(t, first+"\n"+seal.NewKey().Reveal())
	for _, box := range append(ring.CheckValues(), ring.CheckValues()...) {
		if err := store.PutKeyringCheck(ctx, box); err != nil {
			t.Fatal(err)
		}
	}
	impostor := newRing(t, ring.IDs()[0]+":"+seal.NewKey().Reveal()[len("20060102-abcdef:"):])
	if err := store.PutKeyringCheck(ctx, impostor.CheckValues()[0]); err != nil {
		t.Fatal(err)
	}
	checks, err := store.KeyringChecks(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(checks) != 2 {
		t.Fatalf("%d check values for two keys", len(checks))
	}
	for id, box := range checks {
		if box.KeyID() != id || ring.VerifyCheck(box) != nil {
			t.Errorf("the check value of %s is not the first one", id)
		}
	}
}

// seedIntegrations makes one integration a row of figures: days since the last success (null: never) and days until the
// secret expires (null: not told).
const seedIntegrations = `
	insert into tenant (id, public_id, name) overriding system value values (1, gen_random_uuid(), 'a'), (2, gen_random_uuid(), 'b');
	insert into integration (tenant_id, public_id, type, name, directory_id, client_id, secret_box, settings, interval_hours, state,
	  last_success_at, secret_expires_at)
	select tenant, gen_random_uuid(), 'microsoft-defender', 'x', gen_random_uuid(), gen_random_uuid(), decode(box, 'hex'), '{}', 24, state,
	       now() - make_interval(hours => hours), now() + make_interval(hours => expiry)
	from (values
	  (1, 'active', 1, 12, '01016100'), (1, 'active', 49, 100, '01016100'), (2, 'degraded', 72, 300, '0102626200'),
	  (2, 'active', null, 700, '01016100'), (1, 'action_required', 240, -5, '01016100'), (1, 'paused', 900, null, '01016100'),
	  (2, 'disconnected', 5000, 1, null)
	) as v (tenant, state, hours, expiry, box)`

func seeded(t *testing.T) *postgres.Store {
	t.Helper()
	url := postgrestest.URL(t)
	owner, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close() //nolint:errcheck // a test's own connection
	if _, err := owner.Exec(seedIntegrations); err != nil {
		t.Fatal(err)
	}
	return postgrestest.Open(t, url, postgres.ForRequests())
}

func TestSealingKeys(t *testing.T) {
	t.Parallel()
	keys, err := seeded(t).SealingKeys(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 2 || keys["a"] != 5 || keys["bb"] != 1 {
		t.Errorf("keys in use: %v", keys)
	}
}

func TestFreshness(t *testing.T) {
	t.Parallel()
	store := seeded(t)
	f, err := store.Freshness(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if want := 240 * time.Hour; f.OldestSuccess < want || f.OldestSuccess > want+time.Hour {
		t.Errorf("oldest success %v ago, not %v", f.OldestSuccess, want)
	}
	f.OldestSuccess = 0
	states := f.ByState
	if states[connector.StateActive] != 3 || states[connector.StateDegraded] != 1 || states[connector.StatePaused] != 1 || states[connector.StateDisconnected] != 1 {
		t.Errorf("by state: %v", states)
	}
	f.ByState = nil
	figures := func(f postgres.Freshness) [8]int {
		return [...]int{f.Fresh, f.Late, f.Never, f.Expired, f.Within1, f.Within7, f.Within14, f.Within30}
	}
	if got, want := figures(f), [...]int{1, 3, 1, 1, 2, 3, 4, 5}; got != want {
		t.Errorf("fresh, late, never, expired, within 1, 7, 14, 30 days: %v, want %v", got, want)
	}
	if err := store.SetTenantState(t.Context(), 2, tenant.Suspended); err != nil {
		t.Fatal(err)
	}
	f, err = store.Freshness(context.Background())
	if got, want := figures(f), [...]int{1, 2, 0, 1, 2, 3, 3, 3}; got != want || err != nil {
		t.Errorf("without a tenant that is suspended: %v, want %v; %v", got, want, err)
	}
}

func TestFreshnessOfNothing(t *testing.T) {
	t.Parallel()
	f, err := postgrestest.New(t).Freshness(context.Background())
	if err != nil || len(f.ByState) != 0 || f.OldestSuccess != 0 {
		t.Errorf("%+v, %v", f, err)
	}
}
