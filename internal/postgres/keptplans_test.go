package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// seedGrowth makes the shared tables large, and with them those of a tenant (first argument). What was there before comes to lie behind.
const seedGrowth = `
insert into vulnerability (name, title, severity) select 'CVE-2024-' || n, 'Mule overflow', 1 from generate_series(1, 20000) n;
insert into software (vendor, product, version) select 'vendor', 'other', n::text from generate_series(1, 20000) n;
insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
select %[1]d, v.id, 1, 1, '2026-01-01Z' from vulnerability v where v.title = 'Mule overflow';
insert into remediation (tenant_id, software_id, vulnerability_id, update_id)
select %[1]d, s.id, v.id, 'KB' from software s, vulnerability v where s.product = 'rare' and v.title = 'Mule overflow';
update software set version = version where product <> 'other';
update vulnerability set title = title where title <> 'Mule overflow';`

// TestAKeptPlanIsGoodForWhatHasGrown has a connection plan its pages while the tables are all but empty, and looks at what these plans do when
// they are not.
func TestAKeptPlanIsGoodForWhatHasGrown(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	options := postgres.ForRequests()
	options.MaxConns = 1
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, options), owner: openOwner(t, url)}
	f.exec(t, fmt.Sprintf(seedCrowd, 300))
	f.mine = f.crowdedTenant(t, 20)
	f.exec(t, fmt.Sprintf(seedFindings, f.mine, 30))
	f.exec(t, fmt.Sprintf(seedExposures, f.mine, fmt.Sprint(f.mine)))
	f.exec(t, "analyze") // of what was never analysed PostgreSQL expects more than is there
	first := inventory.PageRequest{Limit: 50}
	sent := statements(t, func(ctx context.Context) error {
		_, _, err := f.store.ListAssets(ctx, f.mine, inventory.AssetFilter{}, first)
		_, _, err2 := f.store.ListVulnerabilities(ctx, f.mine, inventory.VulnerabilityFilter{}, first)
		_, _, err3 := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, first)
		return errors.Join(err, err2, err3)
	})
	f.exec(t, fmt.Sprintf(seedGrowth, f.mine))
	kept := 0
	for _, s := range sent {
		if !strings.HasPrefix(s.Text, "/* prepared */") {
			continue
		}
		kept++
		// Each row of a page may have a row of each table, and one more tells that there is a further page.
		if cost := f.keptPlan(t, s); cost.read > 20*10*2 || cost.whole != nil {
			t.Errorf("reads %d rows, and all of %v:\n%s\n%s", cost.read, cost.whole, s.Text, cost.plan)
		}
	}
	if kept != 3 {
		t.Errorf("%d plans are kept, of assets, vulnerabilities and instances there should be one each", kept)
	}
}

// keptPlan tells what the plan does that the connection has of a statement.
func (f inventoryFixture) keptPlan(t *testing.T, s postgres.Statement) planCost {
	t.Helper()
	tx, err := f.store.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	var name string
	if err := tx.QueryRow(`select name from pg_prepared_statements where statement = 'prepare ' || name || ' as ' || $1`, s.Text).Scan(&name); err != nil {
		t.Fatalf("%v\n%s", err, s.Text)
	}
	if _, err := tx.Exec(s.Scope); err != nil {
		t.Fatal(err)
	}
	args := make([]string, len(s.Args))
	for i, a := range s.Args {
		if args[i], err = postgres.Quoted(a); err != nil {
			t.Fatal(err)
		}
	}
	return explained(t, tx, "execute "+name+"("+strings.Join(args, ", ")+")")
}
