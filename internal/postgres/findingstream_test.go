package postgres_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// TestAStreamHoldsWhatTheListHolds compares the two ways to read findings, over several batches and under filters.
func TestAStreamHoldsWhatTheListHolds(t *testing.T) {
	t.Parallel()
	f := newCrowdedInventory(t)
	for name, filter := range map[string]inventory.FindingFilter{
		"all": {}, "by severity": {Severities: []inventory.Severity{inventory.SeverityCritical, inventory.SeverityLow}},
		"by product": {Products: []string{"product"}}, "nothing": {Products: []string{"no such"}},
	} {
		listed := f.listAll(t, filter)
		var streamed []inventory.Finding
		err := f.store.EachFinding(t.Context(), f.mine, filter, func(batch []inventory.Finding) error {
			streamed = append(streamed, batch...)
			return nil
		})
		if err != nil || len(streamed) != len(listed) {
			t.Fatalf("%s: streamed %d findings, listed %d: %v", name, len(streamed), len(listed), err)
		}
		if name == "all" && len(streamed) != 10*crowdedAssets {
			t.Errorf("streamed %d findings", len(streamed))
		}
		order := func(a, b inventory.Finding) int {
			return cmp.Or(slices.Compare(a.AssetID[:], b.AssetID[:]), cmp.Compare(a.VulnID, b.VulnID))
		}
		slices.SortFunc(listed, order)
		slices.SortFunc(streamed, order)
		for i := range listed {
			if !reflect.DeepEqual(listed[i], streamed[i]) {
				t.Fatalf("%s: listed %+v\nstreamed %+v", name, listed[i], streamed[i])
			}
		}
	}
}

func (f inventoryFixture) listAll(t *testing.T, filter inventory.FindingFilter) (all []inventory.Finding) {
	t.Helper()
	page := inventory.PageRequest{Limit: 1000}
	for {
		found, end, err := f.store.ListFindings(t.Context(), f.mine, filter, page)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
		if page.After = end; end == nil {
			return all
		}
	}
}

// TestASlowReaderHoldsNoConnection reads with a pool of one, which everybody else must be able to use between batches.
func TestASlowReaderHoldsNoConnection(t *testing.T) {
	t.Parallel()
	url := postgrestest.URL(t)
	o := postgres.ForRequests()
	o.MaxConns = 1
	store := postgrestest.Open(t, url, o)
	created, err := store.CreateTenant(t.Context(), "Slow", "")
	if err != nil {
		t.Fatal(err)
	}
	f := inventoryFixture{store: store, owner: openOwner(t, url), mine: created.ID}
	f.exec(t, fmt.Sprintf(seedCrowd, crowdedCatalogue)+fmt.Sprintf(seedAssets, created.ID, crowdedAssets)+fmt.Sprintf(seedFindings, created.ID, crowdedCatalogue/10))
	batches := 0
	enough := errors.New("enough")
	err = store.EachFinding(t.Context(), created.ID, inventory.FindingFilter{}, func([]inventory.Finding) error {
		if _, err := store.Tenant(context.WithoutCancel(t.Context()), created.ID); err != nil {
			return err
		}
		if batches++; batches == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || batches != 3 {
		t.Errorf("%d batches, %v", batches, err)
	}
}
