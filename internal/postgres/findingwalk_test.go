package postgres_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/postgres/postgrestest"
)

// findingFilters have all kinds of conditions, that few findings meet, many or none, and combinations.
func (f inventoryFixture) findingFilters(t *testing.T) map[string]inventory.FindingFilter {
	type filter = inventory.FindingFilter
	yes, no := true, false
	assets := f.ids(t, "select public_id from asset where tenant_id = $1 order by id limit 40", f.mine)
	integrations := f.ids(t, "select public_id from integration where tenant_id = $1 order by name", f.mine)
	fixed := []inventory.FindingState{inventory.FindingFixed}
	return map[string]filter{
		"fixed":                 {States: fixed},
		"fixed, of a severity":  {States: fixed, Severities: []inventory.Severity{inventory.SeverityLow}},
		"open or fixed":         {States: []inventory.FindingState{inventory.FindingOpen, inventory.FindingFixed}, Products: []string{"rare"}},
		"out of scope":          {States: []inventory.FindingState{inventory.FindingOutOfScope}},
		"severities":            {Severities: []inventory.Severity{inventory.SeverityCritical, inventory.SeverityMedium}, Products: []string{"rare"}},
		"a rare product":        {Products: []string{"rare"}},
		"a product and a state": {Products: []string{"vendor/product"}, States: fixed},
		"no such product":       {Products: []string{"none"}},
		"with a fix":            {FixAvailable: &yes, FirstSeenFrom: halfway, FirstSeenBefore: halfway.Add(100 * time.Microsecond)},
		"without a fix":         {FixAvailable: &no},
		"since":                 {FirstSeenFrom: halfway, Products: []string{"rare"}},
		"until":                 {FirstSeenBefore: halfway, Products: []string{"rare"}, Severities: []inventory.Severity{inventory.SeverityCritical}},
		"at one time":           {FirstSeenFrom: halfway, FirstSeenBefore: halfway.Add(20 * time.Microsecond)},
		"assets":                {Assets: assets, Severities: []inventory.Severity{inventory.SeverityLow}},
		"no such asset":         {Assets: []uuid.UUID{uuid.New()}},
		"a vulnerability":       {Vulnerabilities: []string{"CVE-2025-000101"}},
		"what all have":         {Vulnerabilities: []string{"CVE-2025-000001"}, States: fixed},
		"a small integration":   {Integrations: integrations[1:]},
		"a large integration":   {Integrations: integrations[:1], Products: []string{"rare"}},
	}
}

// TestAWalkLosesAndRepeatsNothing reads findings under filters in pages, and as a stream, that pass over few findings each, and compares
// them with what is found without such a limit. Each page is bounded, however little meets the filter.
func TestAWalkLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	f := newCrowdedInventory(t)
	bounded := postgrestest.Open(t, f.url, postgres.ForRequests())
	const walk = 6000
	bounded.WalkAtMost(walk)
	bounded.StreamInBatchesOf(700)
	for name, filter := range f.findingFilters(t) {
		for _, sort := range []inventory.Sort{{Key: "severity", Descending: true}, {Key: "first_seen_at"}} {
			t.Run(fmt.Sprintf("%s by %+v", name, sort), func(t *testing.T) {
				want, _ := listed(t, f.store, f, filter, sort)
				got, pages := listed(t, bounded, f, filter, sort)
				if !slices.Equal(got, want) {
					t.Errorf("%d findings in %d short walks, %d in long ones", len(got), pages, len(want))
				}
				if most := 10*crowdedAssets/walk + len(want)/1000 + 2; pages > most {
					t.Errorf("%d pages for %d findings", pages, len(want))
				}
			})
		}
		var streamed []string
		want, _ := listed(t, f.store, f, filter, inventory.Sort{})
		err := bounded.EachFinding(t.Context(), f.mine, filter, func(batch []inventory.Finding) error {
			for i := range batch {
				streamed = append(streamed, fmt.Sprint(batch[i].AssetID, batch[i].VulnID))
			}
			return nil
		})
		slices.Sort(want)
		slices.Sort(streamed)
		if err != nil || !slices.Equal(streamed, want) {
			t.Errorf("%s: streamed %d of %d findings: %v", name, len(streamed), len(want), err)
		}
	}
}

// listed are the findings of all pages, each shown once at most, and how many pages there were.
func listed(t *testing.T, s *postgres.Store, f inventoryFixture, filter inventory.FindingFilter, sort inventory.Sort) (all []string, pages int) {
	t.Helper()
	page := inventory.PageRequest{Limit: 1000, Sort: sort}
	for {
		found, end, err := s.ListFindings(t.Context(), f.mine, filter, page)
		if err != nil || len(found) > page.Limit {
			t.Fatalf("%d findings: %v", len(found), err)
		}
		for i := range found {
			all = append(all, fmt.Sprint(found[i].AssetID, found[i].VulnID))
		}
		if pages++; end == nil {
			return all, pages
		}
		if reflect.DeepEqual(page.After, end) {
			t.Fatal("the position stands still")
		}
		page.After = end
	}
}
