package postgres_test

import (
	"fmt"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
	"pgp.internal/defender/internal/tenant"
)

// benchmarkStore gives a tenant 50,000 findings.
func benchmarkStore(b *testing.B) (*postgres.Store, tenant.ID) {
	return benchmarkTenant(b, func(id tenant.ID) []string {
		return []string{fmt.Sprintf(seedFindings, id, crowdedCatalogue/10), "analyze"}
	})
}

// benchmarkTenant gives a tenant 5,000 assets, and what the further statements do.
func benchmarkTenant(b *testing.B, further func(tenant.ID) []string) (*postgres.Store, tenant.ID) {
	url := postgrestest.URL(b)
	owner := openOwner(b, url)
	store := postgrestest.Open(b, url, postgres.ForRequests())
	created, err := store.CreateTenant(b.Context(), "Crowded", "")
	if err != nil {
		b.Fatal(err)
	}
	seeds := []string{fmt.Sprintf(seedCrowd, crowdedCatalogue), fmt.Sprintf(seedAssets, created.ID, crowdedAssets)}
	for _, statement := range append(seeds, further(created.ID)...) {
		if _, err := owner.Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
	return store, created.ID
}

// BenchmarkFindingPage reads a page of 50 findings from the middle of 50,000, with instances.
func BenchmarkFindingPage(b *testing.B) {
	store, id := benchmarkStore(b)
	page := inventory.PageRequest{Limit: 1000}
	for range 25 {
		_, end, err := store.ListFindings(b.Context(), id, inventory.FindingFilter{}, page)
		if err != nil || end == nil {
			b.Fatal(err)
		}
		page.After = end
	}
	page.Limit = 50
	b.ReportAllocs()
	for b.Loop() {
		found, _, err := store.ListFindings(b.Context(), id, inventory.FindingFilter{}, page)
		if err != nil || len(found) != 50 {
			b.Fatal(len(found), err)
		}
	}
}

// BenchmarkFindingStream reads all 50,000.
func BenchmarkFindingStream(b *testing.B) {
	store, id := benchmarkStore(b)
	b.ReportAllocs()
	read := 0
	for b.Loop() {
		err := store.EachFinding(b.Context(), id, inventory.FindingFilter{}, func(batch []inventory.Finding) error {
			read += len(batch)
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(read)/b.Elapsed().Seconds(), "findings/s")
}
