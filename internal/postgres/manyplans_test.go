package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// many is how many tenants there are, and how many keys and integrations one of them has, and events one of its findings: more than
// anybody's, so that a plan that reads them all is seen.
const many = 5_000

// seedMany gives a tenant (first argument) so many (second) of what has short lists otherwise, and the installation as many tenants.
const seedMany = `
insert into tenant (public_id, name) select gen_random_uuid(), 'T' || n from generate_series(1, %[2]d) n;
insert into api_key (tenant_id, public_id, name, role, hash, box, hint, expires_at)
select %[1]d, gen_random_uuid(), 'K' || n, 'analyst', sha256(n::text::bytea), '', '', now() + interval '1 day' from generate_series(1, %[2]d) n;
insert into integration (tenant_id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
select %[1]d, gen_random_uuid(), 'microsoft-defender', 'D' || n, gen_random_uuid(), gen_random_uuid(), '{}', 24, 'active' from generate_series(1, %[2]d) n;
insert into run (tenant_id, public_id, integration_id, trigger, mode, state, created_at, finished_at)
select tenant_id, gen_random_uuid(), id, 'schedule', 'incremental', 'succeeded', now(), now() from integration, generate_series(1, 4);
insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, severity)
select f.tenant_id, f.asset_id, f.vulnerability_id, 1, now(), 3 + n %% 2, 1
from (select tenant_id, asset_id, vulnerability_id from finding order by asset_id, vulnerability_id limit 2) f, generate_series(1, %[2]d) n`

// TestPagesOfManyAreReadFromIndexes looks at the lists that are short with most tenants: no statement reads more than the page holds,
// whether it is the first one or one further on. Only the list of tenants itself may read all of them, one row each: the planner
// takes the wall between tenants for one that lets nearly nobody through, also where the platform asks.
func TestPagesOfManyAreReadFromIndexes(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, postgres.ForRequests()), owner: openOwner(t, url)}
	f.exec(t, fmt.Sprintf(seedCrowd, 200))
	f.mine = f.crowdedTenant(t, 20)
	f.exec(t, fmt.Sprintf(seedFindings, f.mine, 20))
	f.exec(t, fmt.Sprintf(seedMany, f.mine, many))
	f.exec(t, "vacuum analyze")
	all := []postgres.Statement{{Text: "select set_config('app.system', 'on', true)"}}
	for name, c := range map[string]struct {
		read     func(context.Context, inventory.PageRequest) (inventory.Position, error)
		most     int
		settings []postgres.Statement
	}{
		"tenants": {func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.PageTenants(ctx, tenant.Filter{}, p)
			return end, err
		}, many + 1, all},
		"keys": {func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListAPIKeys(ctx, f.mine, p)
			return end, err
		}, filteredPage + 1, nil},
		"integrations": {func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListIntegrations(ctx, f.mine, p)
			return end, err
		}, 3 * (filteredPage + 1), nil}, // each with its counts by state
	} {
		t.Run(name, func(t *testing.T) {
			page := inventory.PageRequest{Limit: filteredPage}
			for n := range 1 + further {
				f.checkReads(t, fmt.Sprintf("page %d", n+1), c.most, c.settings, func(ctx context.Context) (err error) {
					page.After, err = c.read(ctx, page)
					return err
				})
				if page.After == nil {
					t.Fatal("the list ends")
				}
			}
		})
	}
	t.Run("history", func(t *testing.T) { f.checkHistory(t) })
}

// checkHistory demands that what is told of a finding is all that is read.
func (f inventoryFixture) checkHistory(t *testing.T) {
	t.Helper()
	var asset uuid.UUID
	var vulnerability int32
	err := f.owner.QueryRow(`
		select a.public_id, e.vulnerability_id from finding_event e join asset a on a.tenant_id = e.tenant_id and a.id = e.asset_id limit 1`).Scan(&asset, &vulnerability)
	if err != nil {
		t.Fatal(err)
	}
	const told = 200
	f.checkReads(t, "the history", told, nil, func(ctx context.Context) error {
		events, err := f.store.FindingHistory(ctx, f.mine, asset, vulnerability)
		if len(events) != told {
			t.Errorf("%d events are told", len(events))
		}
		return err
	})
}

// checkReads demands that no statement of a read takes more rows from a table than it may, or makes or sorts as many.
func (f inventoryFixture) checkReads(t *testing.T, what string, most int, settings []postgres.Statement, read func(context.Context) error) {
	t.Helper()
	for _, s := range statements(t, read) {
		if cost := f.measure(t, f.mine, s, settings...); max(cost.read, cost.step, cost.sorted) > most+rounding {
			t.Errorf("%s reads %d rows, makes %d and sorts %d, %d are allowed:\n%s", what, cost.read, cost.step, cost.sorted, most, cost.plan)
		}
	}
}
