package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// seedCrowd is a catalogue of so many vulnerabilities (first argument) and seven kinds of software. Every tenth
// vulnerability, counted from the first, is one that tenants are exposed to. Of each property, some values are rare.
const seedCrowd = `
insert into vulnerability (name, title, severity, epss, published_at, public_exploit, attack_vector)
select 'CVE-2025-' || lpad(n::text, 6, '0'), case when n %% 400 = 1 then 'Zebra' else 'Horse' end || ' overflow',
       case when n %% 400 = 1 then 4 else n / 10 %% 4 end, case when n %% 7 > 0 then n * 7919::bigint %% 1000 / 1000.0 end,
       case when n %% 9 > 0 then timestamptz '2025-01-01Z' + n * 7919::bigint %% 300 * interval '1 day' end, n %% 20 = 1, case when n %% 500 = 1 then 3 else 1 end
from generate_series(1, %[1]d) n;
insert into vulnerability_words (vulnerability_id, words)
select v.id, to_tsvector('simple', translate(v.name || ' ' || v.title, '-', ' ')) from vulnerability v;
insert into software (vendor, product, version) select 'vendor', 'product', n::text from generate_series(1, 6) n;
insert into software (vendor, product, version) values ('vendor', 'rare', '1');`

// seedAssets gives a tenant (first argument) assets (second) of two integrations. Host names and times have ties; times
// differ by microseconds, so that a position that loses them skips or repeats. One asset in two thousand is different.
const seedAssets = `
insert into integration (tenant_id, public_id, type, name, directory_id, client_id, settings, interval_hours, state)
select %[1]d, gen_random_uuid(), 'microsoft-defender', 'D' || n, gen_random_uuid(), gen_random_uuid(), '{}', 24, 'active' from generate_series(1, 2) n;
insert into asset (tenant_id, public_id, integration_id, source_id, hostname, name_kind, primary_ip, addresses, os_family, tags, group_name, last_seen_at,
    state, open_high, open_unknown, content_hash, created_at)
select %[1]d, gen_random_uuid(), i.id, 'source-' || n, 'host-' || n %% 4000, 'short', '10.0.0.0'::inet + n,
       case when n %% 4 = 0 then '[{"ip":"172.17.0.1"}]' else '[]' end::jsonb, case when n %% 2000 = 7 then 'macos' when n %% 10 = 7 then 'linux' else 'windows' end,
       case when n %% 2000 = 7 then '{all,rare}' else '{all}' end::text[], case when n %% 2000 = 7 then 'Rare' else 'Common' end,
       case when n %% 10 > 0 then timestamptz '2026-01-01Z' + n / 3 * interval '1 microsecond' end, case when n %% 2000 = 7 then 'stale' else 'active' end,
       n %% 3, case when n %% 2000 = 7 then 1 else 0 end, '', timestamptz '2026-01-01Z' + n / 3 * interval '1 microsecond'
from generate_series(1, %[2]d) n join integration i on i.tenant_id = %[1]d and i.name = case when n %% 2000 = 7 then 'D2' else 'D1' end;
insert into asset_word (tenant_id, word, asset_id)
select distinct a.tenant_id, w.word, a.id from asset a cross join lateral (values (replace(a.hostname, '-', ' ') || ' '), (substr(a.hostname, 6) || ' '),
  (replace(host(a.primary_ip), '.', ' ') || ' '), (case when a.addresses <> '[]' then '172 17 0 1 ' end)) w (word) where a.tenant_id = %[1]d and w.word is not null;
insert into run (tenant_id, public_id, integration_id, trigger, mode, state, created_at, finished_at)
select %[1]d, gen_random_uuid(), i.id, 'schedule', 'incremental', case when n %% 2000 = 7 then 'failed' else 'succeeded' end,
       timestamptz '2026-01-01Z' + n * interval '1 minute', now()
from generate_series(1, 10000) n join integration i on i.tenant_id = %[1]d and i.name = case when n %% 2000 = 7 then 'D2' else 'D1' end;`

// seedFindings gives each asset of a tenant (first argument) ten findings, one of them of a vulnerability that all have.
const seedFindings = `
insert into finding (tenant_id, asset_id, vulnerability_id, software_ids, severity, severity_source, attack_vector, state, first_seen_at, created_at, updated_at)
select %[1]d, a.id, v.id, array[case when a.id %% 2000 = 9 then 7 else 1 + a.id %% 6 end], v.severity, 4, 1, case when a.id %% 2000 = 9 then 2 else 1 end,
       timestamptz '2026-01-01Z' + (a.id + v.id) / 7 * interval '1 microsecond', now(), now()
from asset a join generate_series(0, 9) n on true
join vulnerability v on v.id = case n when 9 then 1 else 11 + 10 * ((a.id * 7 + n * 199) %% (%[2]d - 1)) end where a.tenant_id = %[1]d;
insert into location (tenant_id, id, disk_paths) select %[1]d, n, '{x}' from generate_series(1, 1000) n;
insert into installation (tenant_id, asset_id, software_ids, location_ids) select %[1]d, a.id, array_agg(s.id), array_agg(s.id) from asset a, software s where a.tenant_id = %[1]d group by a.id;
insert into remediation (tenant_id, software_id, vulnerability_id, update_id)
select %[1]d, s.id, v.id, 'KB' from software s, vulnerability v where s.product = 'product' and v.id %% 10 = 1;`

// seedExposures counts for the main tenant (first argument) and gives another one (second) as much.
const seedExposures = `
insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
select t, v.id, coalesce(f.open, 0), v.severity, '2026-01-01Z'
from vulnerability v left join (
  select vulnerability_id, count(*) filter (where state = 1) as open from finding where tenant_id = %[1]d group by vulnerability_id
) f on f.vulnerability_id = v.id, unnest(array[%[2]s]) t where v.id %% 10 = 1;`

// crowdedTenants are beside the main one. They have assets alone: enough for the planner to see that a table is not one
// tenant's.
const crowdedTenants = 4

func newCrowdedInventory(t *testing.T) inventoryFixture {
	t.Helper()
	url := postgrestest.URL(t)
	f := inventoryFixture{url: url, store: postgrestest.Open(t, url, postgres.ForRequests()), owner: openOwner(t, url)}
	f.exec(t, fmt.Sprintf(seedCrowd, crowdedCatalogue))
	f.mine = f.crowdedTenant(t, crowdedAssets)
	f.exec(t, fmt.Sprintf(seedFindings, f.mine, crowdedCatalogue/10))
	tenants := fmt.Sprint(f.mine)
	for range crowdedTenants {
		f.other = f.crowdedTenant(t, crowdedAssets)
		tenants += fmt.Sprint(",", f.other)
	}
	f.exec(t, fmt.Sprintf(seedExposures, f.mine, tenants))
	f.few = f.crowdedTenant(t, 1)
	f.exec(t, fmt.Sprintf(`insert into exposure (tenant_id, vulnerability_id, open_assets, severity, first_seen_at)
		select %d, v.id, 1, v.severity, '2026-01-01Z' from vulnerability v where v.id %% (%d / 3) = 1 limit 3`, f.few, crowdedCatalogue))
	f.exec(t, "vacuum analyze")
	return f
}

func (f inventoryFixture) crowdedTenant(t *testing.T, assets int) tenant.ID {
	t.Helper()
	created, err := f.store.CreateTenant(context.Background(), "Crowded", "")
	if err != nil {
		t.Fatal(err)
	}
	f.exec(t, fmt.Sprintf(seedAssets, created.ID, assets))
	return created.ID
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

// ownPartition moves the findings of the main tenant into a partition of their own, whose indexes do not name the tenant.
func (f inventoryFixture) ownPartition(t *testing.T) {
	t.Helper()
	store := postgrestest.Open(t, f.url, postgres.ForWork())
	if moved, err := store.Place(t.Context(), f.mine, true); err != nil || moved != 10*crowdedAssets {
		t.Fatalf("moved %d findings: %v", moved, err)
	}
	f.exec(t, "vacuum analyze finding")
}
