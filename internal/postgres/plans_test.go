package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// seedCrowd is a catalogue of 20,000 vulnerabilities and five kinds of software.
const seedCrowd = `
insert into vulnerability (name, severity, epss, published_at)
select 'CVE-2025-' || lpad(n::text, 5, '0'), n % 5, case when n % 7 > 0 then n * 7919 % 1000 / 1000.0 end,
       case when n % 9 > 0 then timestamptz '2025-01-01Z' + n * 7919 % 300 * interval '1 day' end from generate_series(1, 20000) n;
insert into software (vendor, product, version) select 'vendor', 'product', n::text from generate_series(1, 5) n;`

// seedMany gives a tenant (first argument) a number of assets (second) with ten findings each, of 2,000 of the vulnerabilities.
// Host names and times have ties; times differ by microseconds, so that a position that loses them skips or repeats.
const seedMany = `
insert into integration (tenant_id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
values (%[1]d, gen_random_uuid(), 'microsoft-defender', 'D', gen_random_uuid(), gen_random_uuid(), '{}', 24, 'active');
insert into asset (tenant_id, public_id, integration_id, source_id, hostname, name_kind, primary_ip, last_seen_at, state, content_hash, created_at)
select %[1]d, gen_random_uuid(), i.id, 'source-' || n, 'host-' || n %% 4000, 'short', '10.0.0.0'::inet + n,
       case when n %% 10 > 0 then timestamptz '2026-01-01Z' + n / 3 * interval '1 microsecond' end, 'active', '',
       timestamptz '2026-01-01Z' + n / 3 * interval '1 microsecond'
from generate_series(1, %[2]d) n, integration i where i.tenant_id = %[1]d;
insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
select %[1]d, a.id, v.id, array[1 + a.id %% 5], v.severity, 4, 1, 1, timestamptz '2026-01-01Z' + (a.id + v.id) / 7 * interval '1 microsecond', now(), now()
from asset a join generate_series(0, 9) n on true join vulnerability v on v.id = 1 + 10 * ((a.id * 7 + n * 199) %% 2000) where a.tenant_id = %[1]d;
insert into location (tenant_id, id, disk_paths) select %[1]d, n, '{x}' from generate_series(1, 1000) n;
insert into installation (tenant_id, asset_id, software_ids, location_ids) select %[1]d, a.id, array_agg(s.id), array_agg(s.id) from asset a, software s where a.tenant_id = %[1]d group by a.id;
insert into remediation (tenant_id, software_id, vulnerability_id, update_id) select %[1]d, s.id, v.id, 'KB' from software s, vulnerability v where v.id %% 10 = 1;
insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at) select %[1]d, v.id, 25, v.severity, now() from vulnerability v where v.id %% 10 = 1;`

const crowdedAssets = 5000

func newCrowdedInventory(t *testing.T) inventoryFixture {
	t.Helper()
	url := postgrestest.URL(t)
	f := inventoryFixture{store: postgrestest.Open(t, url, postgres.ForRequests()), owner: openOwner(t, url)}
	f.exec(t, seedCrowd)
	for _, tenant := range []struct {
		id     *tenant.ID
		assets int
	}{{&f.mine, crowdedAssets}, {&f.other, crowdedAssets / 10}} {
		created, err := f.store.CreateTenant(context.Background(), "Crowded", "")
		if err != nil {
			t.Fatal(err)
		}
		*tenant.id = created.ID
		f.exec(t, fmt.Sprintf(seedMany, created.ID, tenant.assets))
	}
	f.exec(t, "analyze")
	return f
}

func openOwner(t testing.TB, url string) *sql.DB {
	t.Helper()
	owner, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	return owner
}

// explain runs a statement as the application would, and gives its plan with the rows that each step really gave.
func (f inventoryFixture) explain(t *testing.T, id tenant.ID, statement string, args []any) string {
	t.Helper()
	tx, err := f.owner.Begin()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.Exec(fmt.Sprintf("set local app.tenant_id = '%d'; set local role defender_app", id)); err != nil {
		t.Fatal(err)
	}
	rows, err := tx.Query("explain (analyze, timing off, summary off) "+statement, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, statement)
	}
	defer func() { _ = rows.Close() }()
	var plan strings.Builder
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			t.Fatal(err)
		}
		plan.WriteString(line + "\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan.String()
}

var (
	wholeTable = regexp.MustCompile(`Seq Scan on (finding|asset|exposure|installation|location|remediation)`)
	actualRows = regexp.MustCompile(`actual rows=(\d+) loops`)
	filtered   = regexp.MustCompile(`Rows Removed by (Filter|Join Filter|Index Recheck): (\d+)`)
)

// checkPlan demands that no step touched more rows than the page holds: nothing was read through, sorted or thrown away.
func checkPlan(t *testing.T, what, plan string, page int) {
	t.Helper()
	steps := actualRows.FindAllStringSubmatch(plan, -1)
	if len(steps) == 0 || wholeTable.MatchString(plan) {
		t.Errorf("%s reads a whole table:\n%s", what, plan)
	}
	for _, m := range append(steps, filtered.FindAllStringSubmatch(plan, -1)...) {
		if n, err := strconv.Atoi(m[len(m)-1]); err != nil || n > page {
			t.Errorf("%s touches %d rows for a page of %d (%v):\n%s", what, n, page, err, plan)
			return
		}
	}
}

// planCase is a list with the orders whose pages must come from an index.
type planCase struct {
	name      string
	orders    []inventory.Sort // the zero value is the usual order
	stretch   int              // how many rows may be touched for each that is given
	total     int
	statement func(inventory.PageRequest) (string, []any, error)
	read      func(inventory.PageRequest) (int, inventory.Position, error)
}

func TestPagesAreReadFromIndexes(t *testing.T) {
	t.Parallel()
	f := newCrowdedInventory(t)
	for _, c := range f.planCases() {
		for _, order := range c.orders {
			what := fmt.Sprintf("%s by %+v", c.name, order)
			page := inventory.PageRequest{Limit: 50, Sort: order}
			f.checkPage(t, what+", first page", c, page)
			page.After = c.middle(t, what, order)
			f.checkPage(t, what+", middle page", c, page)
		}
	}
	f.checkInstances(t)
}

func (f inventoryFixture) planCases() []planCase {
	ctx := context.Background()
	both := func(key string) []inventory.Sort { return []inventory.Sort{{Key: key}, {Key: key, Descending: true}} }
	statement := func(p inventory.PageRequest) (string, []any, error) {
		return postgres.VulnerabilityListStatement(f.mine, inventory.VulnerabilityFilter{}, p)
	}
	read := func(p inventory.PageRequest) (int, inventory.Position, error) {
		items, end, err := f.store.ListVulnerabilities(ctx, f.mine, inventory.VulnerabilityFilter{}, p)
		return len(items), end, err
	}
	return []planCase{
		{
			"assets", slices.Concat([]inventory.Sort{{}, {Key: "hostname", Descending: true}}, both("last_seen_at"), both("created_at")), 1, crowdedAssets,
			func(p inventory.PageRequest) (string, []any, error) {
				return postgres.AssetListStatement(f.mine, inventory.AssetFilter{}, p)
			},
			func(p inventory.PageRequest) (int, inventory.Position, error) {
				items, end, err := f.store.ListAssets(ctx, f.mine, inventory.AssetFilter{}, p)
				return len(items), end, err
			},
		},
		{
			"vulnerabilities", slices.Concat([]inventory.Sort{{}, {Key: "severity"}}, both("exposed_assets")), 1, 2000, statement, read,
		},
		{
			// The orders of the shared catalogue pass over what the tenant is not exposed to: nine in ten here.
			"vulnerabilities", slices.Concat(both("id"), both("epss"), both("published_at")), 20, 2000, statement, read,
		},
		{
			"findings", slices.Concat([]inventory.Sort{{}, {Key: "severity"}}, both("first_seen_at")), 1, 10 * crowdedAssets,
			func(p inventory.PageRequest) (string, []any, error) {
				return postgres.FindingListStatement(f.mine, inventory.FindingFilter{}, p)
			},
			func(p inventory.PageRequest) (int, inventory.Position, error) {
				items, end, err := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, p)
				return len(items), end, err
			},
		},
	}
}

func (f inventoryFixture) checkPage(t *testing.T, what string, c planCase, page inventory.PageRequest) {
	t.Helper()
	text, args, err := c.statement(page)
	if err != nil {
		t.Fatal(err)
	}
	checkPlan(t, what, f.explain(t, f.mine, text, args), c.stretch*(page.Limit+1))
}

// middle walks half of the list in large pages.
func (c planCase) middle(t *testing.T, what string, order inventory.Sort) inventory.Position {
	t.Helper()
	page := inventory.PageRequest{Limit: 1000, Sort: order}
	for seen := 0; seen < c.total/2; {
		n, end, err := c.read(page)
		if err != nil || end == nil {
			t.Fatalf("%s: ends after %d and %d items: %v", what, seen, n, err)
		}
		seen, page.After = seen+n, end
	}
	return page.After
}

// checkInstances looks at the plan of the statement that fetches the instances of a page of findings.
func (f inventoryFixture) checkInstances(t *testing.T) {
	t.Helper()
	var place, asset, vulnerability, software pq.Int64Array
	rows, err := f.owner.Query("select asset_id, vulnerability_id, software_ids[1] from finding where tenant_id = $1 order by first_seen_at limit 50", int32(f.mine))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var a, v, s int64
		if err := rows.Scan(&a, &v, &s); err != nil {
			t.Fatal(err)
		}
		place, asset, vulnerability, software = append(place, int64(len(place))), append(asset, a), append(vulnerability, v), append(software, s)
	}
	if err := rows.Err(); err != nil || len(place) != 50 {
		t.Fatalf("%d findings, %v", len(place), err)
	}
	plan := f.explain(t, f.mine, postgres.InstancesOfPage, []any{int32(f.mine), place, asset, vulnerability, software})
	checkPlan(t, "instances", plan, 50)
}
