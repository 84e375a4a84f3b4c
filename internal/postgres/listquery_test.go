package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// checkSorts walks a list by every sort key, in both directions, with pages so small that they end within ties and gaps.
func checkSorts[T any](t *testing.T, keys []string, total int, name func(T) string, compare map[string]func(a, b T) int,
	list func(inventory.PageRequest) ([]T, inventory.Position, error)) {
	t.Helper()
	for _, key := range keys {
		for _, descending := range []bool{false, true} {
			by := compare[key]
			if descending {
				by = func(a, b T) int { return compare[key](b, a) }
			}
			whole := walk(t, inventory.PageRequest{Limit: 1000, Sort: inventory.Sort{Key: key, Descending: descending}}, list)
			if !slices.IsSortedFunc(whole, by) {
				t.Errorf("%s, descending %v: out of order: %v", key, descending, namesOf(whole, name))
			}
			for limit := 1; limit <= 3; limit++ {
				walked := walk(t, inventory.PageRequest{Limit: limit, Sort: inventory.Sort{Key: key, Descending: descending}}, list)
				checkComplete(t, fmt.Sprintf("%s, descending %v, limit %d", key, descending, limit), namesOf(walked, name), namesOf(whole, name), total)
			}
		}
	}
}

func checkComplete(t *testing.T, what string, walked, whole []string, total int) {
	t.Helper()
	if !slices.Equal(walked, whole) {
		t.Errorf("%s: paged %v, at once %v", what, walked, whole)
	}
	distinct := slices.Compact(slices.Sorted(slices.Values(walked)))
	if len(walked) != total || len(distinct) != total {
		t.Errorf("%s: %d items, %d distinct, want %d", what, len(walked), len(distinct), total)
	}
}

func TestPositionsOfAnotherOrderAreRefused(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	ctx := context.Background()
	lists := map[string]struct {
		list func(inventory.PageRequest) (inventory.Position, error)
		keys []string
	}{
		"assets": {func(p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListAssets(ctx, f.mine, inventory.AssetFilter{}, p)
			return end, err
		}, inventory.AssetSorts},
		"vulnerabilities": {func(p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListVulnerabilities(ctx, f.mine, inventory.VulnerabilityFilter{}, p)
			return end, err
		}, inventory.VulnerabilitySorts},
		"findings": {func(p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, p)
			return end, err
		}, inventory.FindingSorts},
	}
	for name, l := range lists {
		t.Run(name, func(t *testing.T) {
			for i, key := range l.keys {
				sort := inventory.Sort{Key: key, Descending: true}
				end, err := l.list(inventory.PageRequest{Limit: 1, Sort: sort})
				if err != nil || end == nil {
					t.Fatalf("%s: position %q, %v", key, end, err)
				}
				next := l.keys[(i+1)%len(l.keys)]
				refused(t, l.list, inventory.PageRequest{Limit: 1, After: end, Sort: inventory.Sort{Key: next, Descending: true}})
				refused(t, l.list, inventory.PageRequest{Limit: 1, After: end, Sort: inventory.Sort{Key: key}})
				for _, spoilt := range spoil(end) {
					refused(t, l.list, inventory.PageRequest{Limit: 1, After: spoilt, Sort: sort})
				}
			}
			if _, err := l.list(inventory.PageRequest{Limit: 1, Sort: inventory.Sort{Key: "id; drop table asset"}}); !fault.Is(err, fault.CodeInvalidRequest) {
				t.Errorf("unknown sort key: %v, want invalid_request", err)
			}
			for _, limit := range []int{-1, 0, 1001} {
				if _, err := l.list(inventory.PageRequest{Limit: limit}); err == nil {
					t.Errorf("limit %d was accepted", limit)
				}
			}
		})
	}
}

// spoil gives positions that no list made.
func spoil(p inventory.Position) []inventory.Position {
	last := slices.Clone(p)
	last[len(last)-1] = "1 or true"
	key := slices.Clone(p)
	key[1] = "\x00"
	return []inventory.Position{{}, p[:len(p)-1], append(slices.Clone(p), "1"), last, key}
}

func refused(t *testing.T, list func(inventory.PageRequest) (inventory.Position, error), page inventory.PageRequest) {
	t.Helper()
	if _, err := list(page); !fault.Is(err, fault.CodeInvalidCursor) {
		t.Errorf("position %q under %+v: %v, want invalid_cursor", page.After, page.Sort, err)
	}
}
