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

// triedOut is how often PostgreSQL plans a statement for its arguments before it compares that with a plan for any.
const triedOut = 5

// TestAKeptPlanIsGoodForWhatHasGrown has a connection plan its pages while the tables are all but empty, and looks at what these plans do when
// they are not.
func TestAKeptPlanIsGoodForWhatHasGrown(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	f := inventoryFixture{url: url, store: oneConnection(t, url), owner: openOwner(t, url)}
	f.exec(t, fmt.Sprintf(seedCrowd, 300))
	f.mine = f.crowdedTenant(t, 20)
	f.exec(t, fmt.Sprintf(seedFindings, f.mine, 30))
	f.exec(t, fmt.Sprintf(seedExposures, f.mine, fmt.Sprint(f.mine)))
	f.exec(t, "analyze") // of what was never analysed PostgreSQL expects more than is there
	first := inventory.PageRequest{Limit: 50}
	read := func(ctx context.Context) error {
		_, _, err := f.store.ListAssets(ctx, f.mine, inventory.AssetFilter{}, first)
		_, _, err2 := f.store.ListVulnerabilities(ctx, f.mine, inventory.VulnerabilityFilter{}, first)
		page, _, err3 := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, first)
		_, _, err4 := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{States: []inventory.FindingState{inventory.FindingOpen}}, first)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return err
		}
		_, err = f.store.Finding(ctx, f.mine, page[0].AssetID, page[0].VulnID)
		err2 = f.store.EachFinding(ctx, f.mine, inventory.FindingFilter{}, func([]inventory.Finding) error { return nil })
		return errors.Join(err, err2)
	}
	var sent []postgres.Statement
	for range triedOut + 1 {
		sent = statements(t, read)
	}
	f.exec(t, fmt.Sprintf(seedGrowth, f.mine))
	kept := map[string]bool{}
	var chosen postgres.Statement // that chose settings last
	for _, s := range sent {
		if strings.HasPrefix(s.Text, "select set_config") {
			chosen = s
		}
		// A connection keeps two plans of what is called both alone and in transactions.
		alone := s.Scope != ""
		which := fmt.Sprint(alone, s.Text)
		if !strings.HasPrefix(s.Text, "/* prepared */") || kept[which] {
			continue
		}
		kept[which] = true
		if s.Scope == "" {
			s.Scope = fmt.Sprintf("set local app.tenant_id = '%d'; %s", f.mine, chosen.Text)
		}
		// What belongs to 200 findings of 20 assets, out of tables of 20,000.
		if cost := f.keptPlan(t, s, alone); cost.read > 1000 || cost.whole != nil {
			t.Errorf("reads %d rows, and all of %v:\n%s\n%s", cost.read, cost.whole, s.Text, cost.plan)
		}
	}
	if len(kept) != 2+2+5 {
		t.Errorf("%d plans are kept; of assets and vulnerabilities there should be one each, of instances two, and five by which a stream looks up what belongs to its findings", len(kept))
	}
}

// keptPlan tells what the plan does that the connection has of a statement.
func (f inventoryFixture) keptPlan(t *testing.T, s postgres.Statement, alone bool) planCost {
	t.Helper()
	tx, err := f.store.DB().Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	var name string
	if err := tx.QueryRow(`select name from pg_prepared_statements where statement = case when $2 then 'prepare ' || name || ' as ' else '' end || $1`, s.Text, alone).Scan(&name); err != nil {
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
	return explained(t, tx, `execute "`+name+`"(`+strings.Join(args, ", ")+")")
}
