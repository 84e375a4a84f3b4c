package postgres_test

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// answers are everything that a tenant can read.
type answers struct {
	Assets          []inventory.Asset
	Affected        []inventory.Asset
	Searched        []inventory.Asset
	Vulnerabilities []inventory.ExposedVulnerability
	Details         []inventory.ExposedVulnerability
	Findings        []inventory.Finding
	Filtered        []inventory.Finding
	Single          []inventory.Finding
	Summary         inventory.Summary
}

func (f inventoryFixture) readAll(t *testing.T, id tenant.ID) (a answers) {
	t.Helper()
	ctx := context.Background()
	listAssets := func(filter inventory.AssetFilter) func(inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
		return func(p inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
			return f.store.ListAssets(ctx, id, filter, p)
		}
	}
	small := inventory.PageRequest{Limit: 2}
	yes := true
	a.Assets = walk(t, small, listAssets(inventory.AssetFilter{}))
	a.Affected = walk(t, small, listAssets(inventory.AssetFilter{VulnID: 6}))
	for _, text := range []string{"web", "10.0.0", "secret"} {
		a.Searched = append(a.Searched, walk(t, small, listAssets(inventory.AssetFilter{Text: text}))...)
	}
	a.Searched = append(a.Searched, walk(t, small, listAssets(inventory.AssetFilter{IPs: []netip.Addr{netip.MustParseAddr("10.0.0.3")}}))...)
	a.Vulnerabilities = walk(t, small, func(p inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
		return f.store.ListVulnerabilities(ctx, id, inventory.VulnerabilityFilter{}, p)
	})
	a.Findings = walk(t, small, f.findings(id, inventory.FindingFilter{}))
	a.Filtered = walk(t, small, f.findings(id, inventory.FindingFilter{FixAvailable: &yes, Integrations: []uuid.UUID{integrationID(id, 1)}}))
	for _, v := range a.Vulnerabilities {
		detail, err := f.store.Vulnerability(ctx, id, v.Name)
		if err != nil {
			t.Fatal(err)
		}
		a.Details = append(a.Details, detail)
	}
	for _, listed := range a.Findings {
		one, err := f.store.Finding(ctx, id, listed.AssetID, listed.VulnID)
		if err != nil {
			t.Fatal(err)
		}
		a.Single = append(a.Single, one)
	}
	var err error
	if a.Summary, err = f.store.Summary(ctx, id); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTenantsSeeTheirOwnOnly(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	mine, other := f.readAll(t, f.mine), f.readAll(t, f.other)
	if len(mine.Assets) != 6 || len(mine.Findings) != 7 || len(mine.Vulnerabilities) != 5 || len(mine.Affected) != 0 {
		t.Errorf("mine: %d assets, %d findings, %d vulnerabilities, %d affected", len(mine.Assets), len(mine.Findings), len(mine.Vulnerabilities), len(mine.Affected))
	}
	if len(other.Assets) != 6 || len(other.Findings) != 8 || len(other.Vulnerabilities) != 6 || len(other.Affected) != 1 {
		t.Errorf("other: %d assets, %d findings, %d vulnerabilities, %d affected", len(other.Assets), len(other.Findings), len(other.Vulnerabilities), len(other.Affected))
	}
	foreign := map[uuid.UUID]bool{}
	for _, a := range other.Assets {
		foreign[a.PublicID] = true
	}
	if len(mine.Searched) != 8 || len(other.Searched) != 9 {
		t.Errorf("mine: %d found by text, the other's: %d", len(mine.Searched), len(other.Searched))
	}
	for _, a := range slices.Concat(mine.Assets, mine.Searched) {
		if foreign[a.PublicID] || a.IntegrationPublic != integrationID(f.mine, int(a.IntegrationID)) {
			t.Errorf("asset %s of integration %s is another tenant's", a.PublicID, a.IntegrationPublic)
		}
	}
	for _, found := range mine.Findings {
		if foreign[found.AssetID] {
			t.Errorf("finding %s is another tenant's", findingName(found))
		}
	}
}

// The tenant in every WHERE is a wall of its own: with the other wall, row-level security, torn down, the answers stay.
func TestReadsHoldWithoutRowLevelSecurity(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	before := map[tenant.ID]answers{f.mine: f.readAll(t, f.mine), f.other: f.readAll(t, f.other)}
	f.exec(t, `
		do $$
		declare walled regclass;
		begin
		  for walled in select oid from pg_class where relrowsecurity and relnamespace = 'public'::regnamespace loop
		    execute format('alter table %s disable row level security', walled);
		  end loop;
		end
		$$`)
	for id, want := range before {
		if got := f.readAll(t, id); !reflect.DeepEqual(got, want) {
			t.Errorf("tenant %d reads differently without row-level security:\n got %+v\nwant %+v", id, got, want)
		}
	}
}
