package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// inventoryFixture is a database with two tenants whose rows agree in everything but the tenant and the public ids: even
// the internal numbers are the same, so that a join that forgets the tenant gives wrong results.
type inventoryFixture struct {
	url         string
	store       *postgres.Store
	owner       *sql.DB // bypasses row-level security
	mine, other tenant.ID
	few         tenant.ID // exposed to three vulnerabilities of a large catalogue alone; of crowded inventories only
}

func newInventory(t *testing.T) inventoryFixture {
	t.Helper()
	url := postgrestest.URL(t)
	owner, err := sql.Open("postgres", url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = owner.Close() })
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, postgres.ForRequests()), owner: owner}
	f.exec(t, seedCatalogue)
	for _, id := range []*tenant.ID{&f.mine, &f.other} {
		created, err := f.store.CreateTenant(context.Background(), "Example", "")
		if err != nil {
			t.Fatal(err)
		}
		*id = created.ID
		f.exec(t, fmt.Sprintf(seedTenant, created.ID))
	}
	// What only the other tenant has must stay out of every answer to the first one.
	f.exec(t, fmt.Sprintf(seedOthersOnly, f.other))
	f.learnWords(t)
	return f
}

// learnWords stores for the text search what an import would have stored.
func (f inventoryFixture) learnWords(t *testing.T) {
	t.Helper()
	for _, id := range []tenant.ID{f.mine, f.other} {
		assets, _, err := f.store.ListAssets(context.Background(), id, inventory.AssetFilter{}, everything)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range assets {
			_, err := f.owner.Exec("insert into asset_word (tenant_id, word, asset_id) select $1, unnest($2::text[]), $3", id, pq.StringArray(postgres.AssetWords(&a)), a.ID)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for number, texts := range f.catalogueTexts(t) {
		_, err := f.owner.Exec("insert into vulnerability_words (vulnerability_id, words) values ($1, $2)", number, postgres.WordVector(texts...))
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (f inventoryFixture) catalogueTexts(t *testing.T) map[int][]string {
	t.Helper()
	rows, err := f.owner.Query("select id, array[name, title, description] from vulnerability")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	found := map[int][]string{}
	for rows.Next() {
		var number int
		var texts pq.StringArray
		if err := rows.Scan(&number, &texts); err != nil {
			t.Fatal(err)
		}
		found[number] = texts
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

func (f inventoryFixture) exec(t *testing.T, statements string) {
	t.Helper()
	if _, err := f.owner.Exec(statements); err != nil {
		t.Fatalf("seed: %v", err)
	}
}

// publicID is the id that the seed gives a tenant's n-th object of a kind.
func publicID(kind string, id tenant.ID, n int) uuid.UUID {
	return uuid.MustParse(fmt.Sprintf("%s000000-0000-4000-8000-%06d%06d", kind, id, n))
}

func assetID(id tenant.ID, n int) uuid.UUID       { return publicID("a5", id, n) }
func integrationID(id tenant.ID, n int) uuid.UUID { return publicID("1e", id, n) }

func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

const seedCatalogue = `
insert into vulnerability (id, name, title, description, severity_word, severity, score, vector, attack_vector, epss,
    public_exploit, exploit_verified, exploit_in_kit, exploit_types, exploit_uris, tags, supportability, published_at, source_updated_at, partial)
overriding system value values
 (1, 'CVE-2024-0001', 'Remote overflow', 'Saves 50%_\''now', 'Critical', 4, 9.8, 'CVSS:3.1/AV:N', 1, 0.9, true, false, false,
     '{Remote}', '{https://example.com/x}', '{Zero day}', 'Supported', '2026-01-02 03:04:05.123456Z', '2026-01-03Z', false),
 (2, 'CVE-2024-0002', '', '', 'High', 3, null, '', 2, null, false, false, false, '{}', '{}', '{}', '', null, null, true),
 (3, 'CVE-2024-0003', 'Verified one', '', 'High', 3, 7.5, '', 1, 0.5, false, true, false, '{}', '{}', '{}', '', '2026-01-05Z', null, false),
 (4, 'TVM-2024-0004', 'No word', '', '', 0, null, '', 0, null, false, false, true, '{}', '{}', '{}', '', null, null, false),
 (5, 'CVE-2024-0005', 'Low one', '', 'Low', 1, 2.1, '', 1, 0.5, false, false, false, '{}', '{}', '{}', '', '2026-01-05Z', null, false),
 (6, 'CVE-2024-0006', 'Of the other tenant', '', 'Critical', 4, 9.9, '', 1, 0.99, true, true, true, '{}', '{}', '{}', '', '2026-01-09Z', null, false),
 (7, 'CVE-2024-0007', 'Of nobody', '', 'Critical', 4, 9.9, '', 1, 0.99, true, true, true, '{}', '{}', '{}', '', '2026-01-09Z', null, false);
insert into software (id, vendor, product, version) overriding system value values
 (1, 'google', 'chrome', '120'), (2, 'acme', 'chrome', '3'), (3, 'microsoft', 'edge', '1'), (4, 'Acme', 'Tool', '9'),
 (5, 'google', 'chrome', '119'), (6, 'acme', '100%', '1');`

// seedTenant takes the tenant's number. Host names, times of sighting and first sightings have ties and gaps on purpose.
const seedTenant = `
insert into integration (tenant_id, id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
overriding system value
select %[1]d, n, ('1e000000-0000-4000-8000-' || lpad('%[1]d', 6, '0') || lpad(n::text, 6, '0'))::uuid, 'microsoft-defender',
       'Directory ' || n, ('d1000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'c1000000-0000-4000-8000-000000000001', '{}', 24, 'active'
from generate_series(1, 2) n;
insert into asset (tenant_id, id, public_id, integration_id, source_id, hostname, hostname_raw, name_kind, primary_ip, addresses,
    os_family, group_name, tags, last_seen_at, findings_seen_at, state, content_hash, open_critical, open_high, open_low, open_unknown, created_at)
overriding system value
select %[1]d, n, ('a5000000-0000-4000-8000-' || lpad('%[1]d', 6, '0') || lpad(n::text, 6, '0'))::uuid, integration,
       'source-' || n, host, raw, 'fqdn', ip::inet, addresses::jsonb, os, grp, tags::text[], last_seen::timestamptz,
       findings_seen::timestamptz, state, '', critical, high, low, unknown, created::timestamptz
from (values
 (1, 1, 'web_01.corp', 'WEB_01.Corp', '10.0.0.1', '[{"ip":"10.0.0.1","mac":"aa:bb:cc:dd:ee:ff","scope":"private","type":"ethernet","up":true},{"ip":"2001:db9::1","mac":"","scope":"public","type":"wireless","up":false}]',
     'windows', 'Blue', '{prod,web}', '2026-01-07Z', '2026-01-06Z', 'active', 1, 1, 0, 0, '2026-01-01Z'),
 (2, 1, 'webx01.corp', '', '10.0.0.2', '[]', 'linux', 'Blue', '{prod}', '2026-01-07Z', null, 'inactive', 0, 1, 0, 0, '2026-01-01Z'),
 (3, 2, 'db.corp', '50%%_\''x', '10.0.0.3', '[]', 'linux', 'Red', '{"100%%"}', null, null, 'stale', 0, 0, 1, 0, '2026-01-02Z'),
 (4, 2, 'db.corp', '', '10.0.0.3', '[]', 'windows', '', '{}', null, null, 'active', 0, 0, 0, 1, '2026-01-03Z'),
 (5, 1, 'old.corp', '', 'fd00::5', '[]', 'macos', '', '{}', '2025-12-01Z', null, 'out_of_scope', 0, 0, 0, 0, '2026-01-03Z'),
 (6, 1, 'zed.corp', '', '10.0.1.6', '[]', 'windows', '', '{}', '2026-01-08 01:02:03.000004Z', null, 'removed', 0, 0, 0, 0, '2026-01-04Z')
) as a (n, integration, host, raw, ip, addresses, os, grp, tags, last_seen, findings_seen, state, critical, high, low, unknown, created);
update asset set previous_hostnames = '{web00.corp}', egress_ip = '198.51.100.7', os_platform = 'Windows10', os_version = '22H2',
    os_build = 19045, os_architecture = '64-bit', os_processor = 'x64', health = 'Active', onboarding = 'Onboarded', risk_score = 'High',
    exposure_level = 'Low', device_value = 'Normal', group_id = 7, aad_device_id = 'aad', aad_joined = true, agent_version = '1.2',
    managed_by = 'Intune', managed_by_status = 'Success', potential_duplicate = true, warnings = '{platform_unrecognised}',
    cloud = '{"provider":"azure","resource_id":"/r","account":"sub","vm_id":"vm"}', first_seen_at = '2025-11-01Z', updated_at = '2026-01-08Z'
where tenant_id = %[1]d and id = 1;
insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, reopen_count,
    state_reason, first_seen_at, last_seen_at, closed_at, reopened_at, created_at, updated_at) values
 (%[1]d, 1, 1, '{1,3}', 4, 4, 1, 1, 2, null,         '2026-01-01Z', null,          null,          '2026-01-05Z', '2026-01-01Z', '2026-01-02Z'),
 (%[1]d, 1, 3, '{2}',   3, 4, 1, 1, 0, null,         '2026-01-02Z', null,          null,          null, '2026-01-01Z', '2026-01-01Z'),
 (%[1]d, 2, 3, '{2,4}', 3, 3, 1, 1, 0, null,         '2026-01-02Z', null,          null,          null, '2026-01-01Z', '2026-01-01Z'),
 (%[1]d, 2, 2, '{3}',   3, 4, 2, 2, 0, null,         '2026-01-01Z', '2026-01-03Z', '2026-01-04Z', null, '2026-01-01Z', '2026-01-04Z'),
 (%[1]d, 3, 5, '{5}',   1, 4, 1, 1, 0, null,         '2026-01-06Z', null,          null,          null, '2026-01-01Z', '2026-01-01Z'),
 (%[1]d, 4, 4, '{6}',   0, 0, 0, 1, 0, null,         '2026-01-06Z', null,          null,          null, '2026-01-01Z', '2026-01-01Z'),
 (%[1]d, 6, 1, '{1}',   4, 4, 1, 3, 0, 'removed',    '2026-01-01Z', '2026-01-05Z', '2026-01-06Z', null, '2026-01-01Z', '2026-01-06Z');
insert into location (tenant_id, id, disk_paths, registry_paths) values (%[1]d, 1, '{c:\\chrome}', '{HKLM\\chrome}'), (%[1]d, -2, '{d:\\chrome}', '{}');
insert into installation (tenant_id, asset_id, software_ids, location_ids) values (%[1]d, 1, '{1}', '{1}'), (%[1]d, 6, '{1}', '{-2}');
insert into remediation (tenant_id, software_id, vulnerability_id, update_text, update_id, update_url, update_ready) values
 (%[1]d, 1, 1, 'Update Chrome', 'KB1', 'https://example.com/kb1', true), (%[1]d, 2, 3, '', '', '', false), (%[1]d, 5, 5, '', 'KB5', '', null),
 (%[1]d, 3, 1, '', '', '', null);
insert into exposure (tenant_id, vulnerability_id, open_assets, fixed_assets, out_of_scope_assets, severity, first_seen_at) values
 (%[1]d, 1, 1, 0, 1, 4, '2026-01-01Z'), (%[1]d, 2, 0, 1, 0, 3, '2026-01-01Z'), (%[1]d, 3, 2, 0, 0, 3, '2026-01-02Z'), (%[1]d, 4, 1, 0, 0, 0, '2026-01-06Z'),
 (%[1]d, 5, 1, 0, 0, 1, '2026-01-06Z');`

const seedOthersOnly = `
update asset set integration_id = 1 where tenant_id = %[1]d and id = 3;
update asset set hostname_raw = 'SECRET.corp' where tenant_id = %[1]d and id = 6;
insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at) values (%[1]d, 6, 1, 4, '2026-01-01Z');
insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
values (%[1]d, 5, 6, '{3}', 4, 4, 1, 1, '2026-01-01Z', '2026-01-01Z', '2026-01-01Z');
insert into remediation (tenant_id, software_id, vulnerability_id, update_text) values (%[1]d, 4, 3, 'Of the other tenant');
insert into location (tenant_id, id, disk_paths) values (%[1]d, 3, '{/other}');
insert into installation (tenant_id, asset_id, software_ids, location_ids) values (%[1]d, 2, '{4}', '{3}');`

// everything asks for all of a list in its usual order.
var everything = inventory.PageRequest{Limit: 1000}

// walk reads a whole list page by page.
func walk[T any](t *testing.T, page inventory.PageRequest, list func(inventory.PageRequest) ([]T, inventory.Position, error)) []T {
	t.Helper()
	var all []T
	for range 100 {
		items, end, err := list(page)
		if err != nil {
			t.Fatalf("page after %q: %v", page.After, err)
		}
		if len(items) > page.Limit || (end != nil && len(items) < page.Limit) {
			t.Fatalf("page of %d items for limit %d, position %q", len(items), page.Limit, end)
		}
		all = append(all, items...)
		if end == nil {
			return all
		}
		page.After = end
	}
	t.Fatal("the list does not end")
	return nil
}

func namesOf[T any](items []T, name func(T) string) []string {
	out := make([]string, len(items))
	for i, item := range items {
		out[i] = name(item)
	}
	return out
}
