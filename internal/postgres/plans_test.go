package postgres_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgp.internal/defender/internal/inventory"
)

// planCase is a list with the orders whose pages must come from an index.
type planCase struct {
	name    string
	orders  []inventory.Sort // the zero value is the usual order
	stretch int              // how many rows may be touched for each that is given
	total   int
	read    func(context.Context, inventory.PageRequest) (int, inventory.Position, error)
}

// TestPagesAreReadFromIndexes looks at what the database does for a page of every list, in every order and under every
// filter. "make plans" does the same with a million findings.
func TestPagesAreReadFromIndexes(t *testing.T) {
	t.Parallel()
	f := newCrowdedInventory(t)
	f.store.WalkAtMost(crowdedWalk)
	t.Run("orders", func(t *testing.T) { f.checkOrders(t, "assets", "vulnerabilities", "findings") })
	t.Run("a tenant with few", f.checkFew)
	t.Run("filters", f.checkFilters)
	t.Run("walks", f.checkWalks)
	t.Run("summary", f.checkSummary)
	f.ownPartition(t)
	t.Run("findings of an own partition", func(t *testing.T) {
		f.checkOrders(t, "findings")
		for _, c := range f.findingCases(t) {
			f.checkFilter(t, c)
		}
	})
}

func (f inventoryFixture) checkOrders(t *testing.T, lists ...string) {
	for _, c := range f.planCases() {
		if !slices.Contains(lists, c.name) {
			continue
		}
		for _, order := range c.orders {
			what := fmt.Sprintf("%s by %+v", c.name, order)
			page := inventory.PageRequest{Limit: 50, Sort: order}
			f.checkPage(t, what+", first page", c, page)
			page.After = c.middle(t, what, order)
			f.checkPage(t, what+", middle page", c, page)
		}
	}
}

func (f inventoryFixture) planCases() []planCase {
	both := func(key string) []inventory.Sort { return []inventory.Sort{{Key: key}, {Key: key, Descending: true}} }
	read := func(ctx context.Context, p inventory.PageRequest) (int, inventory.Position, error) {
		items, end, err := f.store.ListVulnerabilities(ctx, f.mine, inventory.VulnerabilityFilter{}, p)
		return len(items), end, err
	}
	return []planCase{
		{
			"assets", slices.Concat([]inventory.Sort{{}, {Key: "hostname", Descending: true}}, both("last_seen_at"), both("created_at")), 1, crowdedAssets,
			func(ctx context.Context, p inventory.PageRequest) (int, inventory.Position, error) {
				items, end, err := f.store.ListAssets(ctx, f.mine, inventory.AssetFilter{}, p)
				return len(items), end, err
			},
		},
		{
			"vulnerabilities", slices.Concat([]inventory.Sort{{}, {Key: "severity"}}, both("exposed_assets")), 1, crowdedCatalogue / 10, read,
		},
		{
			// The orders of the shared catalogue pass over what the tenant is not exposed to: nine in ten here.
			"vulnerabilities", slices.Concat(both("id"), both("epss"), both("published_at")), 20, crowdedCatalogue / 10, read,
		},
		{
			"findings", slices.Concat([]inventory.Sort{{}, {Key: "severity"}}, both("first_seen_at")), 1, 10 * crowdedAssets,
			func(ctx context.Context, p inventory.PageRequest) (int, inventory.Position, error) {
				items, end, err := f.store.ListFindings(ctx, f.mine, inventory.FindingFilter{}, p)
				return len(items), end, err
			},
		},
	}
}

// checkPage demands that no step touched more rows than the page holds: nothing was read through, sorted or thrown away.
func (f inventoryFixture) checkPage(t *testing.T, what string, c planCase, page inventory.PageRequest) {
	t.Helper()
	for _, s := range statements(t, func(ctx context.Context) error { _, _, err := c.read(ctx, page); return err }) {
		cost := f.measure(t, f.mine, s)
		if most := c.stretch * (page.Limit + 1); cost.step > most || cost.whole != nil {
			t.Errorf("%s touches %d rows, %d are allowed, and all of %v:\n%s", what, cost.step, most, cost.whole, cost.plan)
		}
	}
}

// checkFew demands of a tenant with three exposures that a page of them reads no more of the shared catalogue than these, in any order.
func (f inventoryFixture) checkFew(t *testing.T) {
	for _, c := range f.planCases() {
		if c.name != "vulnerabilities" {
			continue
		}
		for _, order := range c.orders {
			page := inventory.PageRequest{Limit: 50, Sort: order}
			for _, s := range statements(t, func(ctx context.Context) error {
				items, _, err := f.store.ListVulnerabilities(ctx, f.few, inventory.VulnerabilityFilter{}, page)
				if err == nil && len(items) != 3 {
					err = fmt.Errorf("%d vulnerabilities", len(items))
				}
				return err
			}) {
				if cost := f.measure(t, f.few, s); cost.read > 3 || cost.whole != nil {
					t.Errorf("by %+v a page of three reads %d rows, and all of %v:\n%s", order, cost.read, cost.whole, cost.plan)
				}
			}
		}
	}
}

// middle walks half of the list in large pages.
func (c planCase) middle(t *testing.T, what string, order inventory.Sort) inventory.Position {
	t.Helper()
	page := inventory.PageRequest{Limit: 1000, Sort: order}
	for seen := 0; seen < c.total/2; {
		n, end, err := c.read(context.Background(), page)
		if err != nil || end == nil {
			t.Fatalf("%s: ends after %d and %d items: %v", what, seen, n, err)
		}
		seen, page.After = seen+n, end
	}
	return page.After
}
