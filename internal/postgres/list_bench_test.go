package postgres_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// BenchmarkFindingPage reads a page of 50 findings from the middle of 50,000, with instances.
func BenchmarkFindingPage(b *testing.B) {
	ctx := context.Background()
	url := postgrestest.URL(b)
	owner, err := sql.Open("postgres", url)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = owner.Close() }()
	store := postgrestest.Open(b, url, postgres.ForRequests())
	created, err := store.CreateTenant(ctx, "Crowded", "")
	if err != nil {
		b.Fatal(err)
	}
	for _, statement := range []string{seedCrowd, fmt.Sprintf(seedMany, created.ID, crowdedAssets), "analyze"} {
		if _, err := owner.Exec(statement); err != nil {
			b.Fatal(err)
		}
	}
	page := inventory.PageRequest{Limit: 1000}
	for range 25 {
		_, end, err := store.ListFindings(ctx, created.ID, inventory.FindingFilter{}, page)
		if err != nil || end == nil {
			b.Fatal(err)
		}
		page.After = end
	}
	page.Limit = 50
	b.ReportAllocs()
	for b.Loop() {
		found, _, err := store.ListFindings(ctx, created.ID, inventory.FindingFilter{}, page)
		if err != nil || len(found) != 50 {
			b.Fatal(len(found), err)
		}
	}
}
