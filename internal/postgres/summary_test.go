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
	f.exec(t, `update asset set state = 'merged', open_low = 3 where state = 'inactive'; delete from asset where state = 'removed'`)
	f.exec(t, `update exposure set open_assets = 0, fixed_assets = 4 where vulnerability_id = 5; delete from exposure where vulnerability_id = 4`)
	want.Assets[inventory.AssetInactive], want.Assets[inventory.AssetMerged], want.Assets[inventory.AssetRemoved] = 0, 1, 0
	want.OSFamilies["linux"], want.OpenFindings.High, want.FindingStates[inventory.FindingOpen] = 1, 1, 4
	want.FindingStates[inventory.FindingFixed], want.Vulnerabilities, want.WithExploit = 5, 2, 2
	got, err = f.store.Summary(context.Background(), f.mine)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("after changes: %v\n got %+v\nwant %+v", err, got, want)
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
