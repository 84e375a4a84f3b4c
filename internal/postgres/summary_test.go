package postgres_test

import (
	"context"
	"reflect"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

func TestSummary(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	want := inventory.Summary{
		Assets: map[inventory.AssetState]int{
			inventory.AssetActive: 2, inventory.AssetInactive: 1, inventory.AssetStale: 1,
			inventory.AssetOutOfScope: 1, inventory.AssetMerged: 0, inventory.AssetRemoved: 1,
		},
		OSFamilies:      map[string]int{"windows": 2, "linux": 2},
		OpenFindings:    inventory.SeverityCounts{Critical: 1, High: 2, Low: 1, Unknown: 1},
		FindingStates:   map[inventory.FindingState]int{inventory.FindingOpen: 5, inventory.FindingFixed: 1, inventory.FindingOutOfScope: 1},
		Vulnerabilities: 4, WithExploit: 3,
	}
	got, err := f.store.Summary(context.Background(), f.mine)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Summary: %v\n got %+v\nwant %+v", err, got, want)
	}
}

func TestSummaryOfAnEmptyTenant(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	fresh, err := f.store.CreateTenant(context.Background(), "Fresh", "")
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.store.Summary(context.Background(), fresh.ID)
	if err != nil || got.OpenFindings.Total() != 0 || got.Vulnerabilities != 0 || len(got.OSFamilies) != 0 {
		t.Errorf("Summary: %v, %+v", err, got)
	}
	if len(got.Assets) != 6 || len(got.FindingStates) != 3 {
		t.Errorf("states without entry: %+v", got)
	}
}
