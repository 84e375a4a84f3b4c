package postgres_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/postgres"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// bound is what a page under a filter may cost, in rows: read from one table, and sorted.
type bound struct {
	read, sorted int
}

const filteredPage = 50

// rounding is what a plan can be off by: it tells averages of several loops, as whole numbers.
const rounding = 10

var (
	// direct: many meet the filter, so that the page is full before long; or an index in the list's order begins with it.
	direct = bound{read: 10 * (filteredPage + 1), sorted: filteredPage + 1}
	// shortlisted: an index tells who meets the filter. All of them are looked up and sorted, if they are few enough.
	shortlisted = bound{read: 2 * (postgres.ShortlistSize + 1), sorted: postgres.ShortlistSize}
	// throughAssets: no index knows who meets the filter, because each would have to be written with every sighting of an
	// asset. One walk through the tenant's assets finds the few; a page of many is found by a part of it.
	throughAssets = bound{read: crowdedAssets, sorted: filteredPage + 1}
	// walked: so many meet the filter that the list is walked along its order, here from the worse end, and each asset is
	// asked for its words, of which it has three or four.
	walked = bound{read: max(4*crowdedAssets, 2*(postgres.ShortlistSize+1)), sorted: postgres.ShortlistSize}
	// throughExposures: properties of the shared catalogue, looked up for what the tenant is exposed to.
	throughExposures = bound{read: 2 * crowdedCatalogue, sorted: crowdedCatalogue / 10}
	// perAsset: each asset can have the finding, and by first sighting, which the index of vulnerabilities does not go on with, they are sorted.
	perAsset = bound{read: crowdedAssets, sorted: crowdedAssets}
	// throughFindings: no index knows who meets the filter, because a further one would slow down every first import. A stretch of
	// the list is passed over, in its order.
	throughFindings = bound{read: max(crowdedWalk, postgres.ShortlistSize+1), sorted: filteredPage + 1}
	// throughUpdates: the same, and for each finding what is recommended for the six versions of its product.
	throughUpdates = bound{read: 6 * crowdedWalk, sorted: filteredPage + 1}
)

// filterCase is a list under a filter, in some of its orders.
type filterCase struct {
	name  string
	most  bound
	sorts []string
	read  func(context.Context, inventory.PageRequest) (inventory.Position, error)
}

// further is how many pages behind the first one are looked at too.
const further = 2

func (f inventoryFixture) checkFilter(t *testing.T, c filterCase) {
	t.Helper()
	var most planCost
	for _, key := range c.sorts {
		for _, descending := range []bool{false, true} {
			page := inventory.PageRequest{Limit: filteredPage, Sort: inventory.Sort{Key: key, Descending: descending}}
			for n := range 1 + further {
				cost := f.checkFiltered(t, c, page, n+1)
				most.read, most.sorted, most.took = max(most.read, cost.read), max(most.sorted, cost.sorted), max(most.took, cost.took)
				end, err := c.read(t.Context(), page)
				if err != nil {
					t.Fatal(err)
				}
				if page.After = end; end == nil {
					break
				}
			}
		}
	}
	t.Logf("%-50s reads at most %7d rows, sorts %5d, takes %7.1f ms", c.name, most.read, most.sorted, most.took.Seconds()*1000)
}

// checkFiltered demands that a page costs no more than it may, and tells the most of its statements.
func (f inventoryFixture) checkFiltered(t *testing.T, c filterCase, page inventory.PageRequest, number int) (most planCost) {
	t.Helper()
	var settings []postgres.Statement
	for _, s := range statements(t, func(ctx context.Context) error { _, err := c.read(ctx, page); return err }) {
		if strings.HasPrefix(s.Text, "select set_config(") {
			settings = append(settings, s)
			continue
		}
		cost := f.measure(t, f.mine, s, settings...)
		if cost.read > c.most.read+rounding || cost.sorted > c.most.sorted || cost.whole != nil {
			t.Errorf("page %d of %s by %+v reads %d rows and sorts %d, allowed are %+v; reads all of %v:\n%s",
				number, c.name, page.Sort, cost.read, cost.sorted, c.most, cost.whole, cost.plan)
		}
		most.read, most.sorted, most.took = max(most.read, cost.read), max(most.sorted, cost.sorted), max(most.took, cost.took)
	}
	return most
}

func (f inventoryFixture) checkFilters(t *testing.T) {
	for _, c := range slices.Concat(f.assetCases(t), f.vulnerabilityCases(), f.findingCases(t), f.runCases(t)) {
		f.checkFilter(t, c)
	}
}

// checkWalks demands that the planner may not leave the order of a walk for a sort of all that meet the filter, behind a cursor either.
// What it would choose depends on what it believes of the data, which these do not lead astray; so what it is allowed is looked at.
func (f inventoryFixture) checkWalks(t *testing.T) {
	filter := inventory.FindingFilter{Severities: []inventory.Severity{inventory.SeverityMedium}}
	for _, key := range inventory.FindingSorts {
		page := inventory.PageRequest{Limit: filteredPage, Sort: inventory.Sort{Key: key}}
		for n := range 1 + further {
			sorts, pages := true, 0
			for _, s := range statements(t, func(ctx context.Context) (err error) {
				_, page.After, err = f.store.ListFindings(ctx, f.mine, filter, page)
				return err
			}) {
				switch {
				case strings.Contains(s.Text, "set_config('enable_sort'"):
					sorts = strings.Contains(s.Text, "'on'")
				case strings.Contains(s.Text, "f.attack_vector"):
					if pages++; sorts {
						t.Errorf("page %d by %q may be sorted:\n%s", n+1, key, s.Text)
					}
				}
			}
			if !sorts || pages != 1 || page.After == nil {
				t.Errorf("page %d by %q: sorts are left allowed %t, pages %d, goes on %t", n+1, key, sorts, pages, page.After != nil)
			}
		}
	}
}

// halfway is in the middle of the crowd's times.
var halfway = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(crowdedAssets / 6 * time.Microsecond)

func (f inventoryFixture) assetCases(t *testing.T) (cases []filterCase) {
	add := func(name string, most bound, filter inventory.AssetFilter) {
		cases = append(cases, filterCase{"assets: " + name, most, inventory.AssetSorts, func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListAssets(ctx, f.mine, filter, p)
			return end, err
		}})
	}
	type filter = inventory.AssetFilter
	integrations := f.ids(t, "select public_id from integration where tenant_id = $1 order by name", f.mine)
	ip := func(text string) []netip.Addr { return []netip.Addr{netip.MustParseAddr(text)} }
	add("a common operating system", direct, filter{OSFamilies: []string{"windows"}})
	add("a rare operating system", throughAssets, filter{OSFamilies: []string{"macos"}})
	add("an unknown operating system", throughAssets, filter{OSFamilies: []string{"beos"}})
	add("a common state", direct, filter{States: []inventory.AssetState{inventory.AssetActive}})
	add("a rare state", throughAssets, filter{States: []inventory.AssetState{inventory.AssetStale}})
	add("a common severity", direct, filter{Severities: []inventory.Severity{inventory.SeverityHigh}})
	add("a rare severity", throughAssets, filter{Severities: []inventory.Severity{inventory.SeverityUnknown}})
	add("no such severity", throughAssets, filter{Severities: []inventory.Severity{inventory.SeverityCritical}})
	add("a common tag", direct, filter{Tags: []string{"all"}})
	add("a rare tag", throughAssets, filter{Tags: []string{"rare"}})
	add("a common group", direct, filter{DeviceGroups: []string{"Common"}})
	add("a rare group", throughAssets, filter{DeviceGroups: []string{"Rare"}})
	add("a large integration", direct, filter{Integrations: integrations[:1]})
	add("a small integration", throughAssets, filter{Integrations: integrations[1:]})
	add("host names", direct, filter{Hostnames: []string{"host-77", "host-3999"}})
	add("an address", shortlisted, filter{IPs: ip("10.0.0.77")})
	add("a common address", shortlisted, filter{IPs: ip("172.17.0.1")})
	add("no such address", shortlisted, filter{IPs: ip("172.17.0.2")})
	add("seen in the second half", throughAssets, filter{LastSeenFrom: halfway})
	add("seen in the first half", throughAssets, filter{LastSeenBefore: halfway})
	add("seen at one time", shortlisted, filter{LastSeenFrom: halfway, LastSeenBefore: halfway.Add(30 * time.Microsecond)})
	add("text of few", shortlisted, filter{Text: "host-77."})
	add("text of some", shortlisted, filter{Text: "39"})
	add("text of the last by name", shortlisted, filter{Text: "host-9"})
	add("text of a quarter", walked, filter{Text: "host-1"})
	add("text of all", walked, filter{Text: "host"})
	add("text of few and of many", shortlisted, filter{Text: "host 10.0.0"})
	add("text of many that never meet", walked, filter{Text: "host-1 host-2"})
	add("text of nobody", shortlisted, filter{Text: "zebra"})
	add("of a vulnerability", shortlisted, filter{VulnID: 101})
	add("of a vulnerability that all have", shortlisted, filter{VulnID: 1})
	return cases
}

func (f inventoryFixture) vulnerabilityCases() (cases []filterCase) {
	add := func(name string, most bound, filter inventory.VulnerabilityFilter) {
		cases = append(cases, filterCase{"vulnerabilities: " + name, most, inventory.VulnerabilitySorts, func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListVulnerabilities(ctx, f.mine, filter, p)
			return end, err
		}})
	}
	type filter = inventory.VulnerabilityFilter
	yes, june := true, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC)
	add("a severity", throughExposures, filter{Severities: []inventory.Severity{inventory.SeverityHigh}})
	add("the rarest severity", throughExposures, filter{Severities: []inventory.Severity{inventory.SeverityCritical}})
	add("a rare attack vector", throughExposures, filter{Vectors: []inventory.AttackVector{inventory.VectorLocal}})
	add("with an exploit", throughExposures, filter{Exploit: &yes})
	add("a high EPSS score", throughExposures, filter{EPSSFrom: 0.9})
	add("the highest EPSS score", throughExposures, filter{EPSSFrom: 0.998})
	add("published since", throughExposures, filter{PublishedFrom: june})
	add("published on a day", throughExposures, filter{PublishedFrom: june, PublishedBefore: june.AddDate(0, 0, 1)})
	add("text of few", shortlisted, filter{Text: "zeb"})
	add("text of many", shortlisted, filter{Text: "horse"})
	add("a name", shortlisted, filter{Text: "cve-2025-000101"})
	add("text of nobody", shortlisted, filter{Text: "donkey"})
	return cases
}

func (f inventoryFixture) findingCases(t *testing.T) (cases []filterCase) {
	addSorted := func(name string, most bound, filter inventory.FindingFilter, sorts ...string) {
		cases = append(cases, filterCase{"findings: " + name, most, sorts, func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListFindings(ctx, f.mine, filter, p)
			return end, err
		}})
	}
	add := func(name string, most bound, filter inventory.FindingFilter) {
		addSorted(name, most, filter, inventory.FindingSorts...)
	}
	type filter = inventory.FindingFilter
	yes, no := true, false
	integrations := f.ids(t, "select public_id from integration where tenant_id = $1 order by name", f.mine)
	assets := f.ids(t, "select public_id from asset where tenant_id = $1 order by id limit 20", f.mine)
	add("a common state", direct, filter{States: []inventory.FindingState{inventory.FindingOpen}})
	add("a rare state", shortlisted, filter{States: []inventory.FindingState{inventory.FindingFixed}})
	add("a state that none has", shortlisted, filter{States: []inventory.FindingState{inventory.FindingOutOfScope}})
	add("a severity", throughFindings, filter{Severities: []inventory.Severity{inventory.SeverityCritical}})
	add("severities", throughFindings, filter{Severities: []inventory.Severity{inventory.SeverityCritical, inventory.SeverityHigh}})
	add("another severity", throughFindings, filter{Severities: []inventory.Severity{inventory.SeverityMedium}})
	add("lesser severities", throughFindings, filter{Severities: []inventory.Severity{inventory.SeverityMedium, inventory.SeverityLow}})
	add("of an asset", direct, filter{Assets: assets[:1]})
	add("of twenty assets", shortlisted, filter{Assets: assets})
	add("of a large integration", bound{read: 1001, sorted: filteredPage + 1}, filter{Integrations: integrations[:1]})
	add("of a small integration", shortlisted, filter{Integrations: integrations[1:]})
	some, all := []string{"CVE-2025-000101"}, []string{"CVE-2025-000001"}
	addSorted("of a vulnerability by severity", direct, filter{Vulnerabilities: some}, "severity")
	addSorted("of a vulnerability by first sighting", shortlisted, filter{Vulnerabilities: some}, "first_seen_at")
	addSorted("of a vulnerability that all have by severity", direct, filter{Vulnerabilities: all}, "severity")
	addSorted("of a vulnerability that all have by first sighting", perAsset, filter{Vulnerabilities: all}, "first_seen_at")
	open := []inventory.FindingState{inventory.FindingOpen}
	addSorted("of a vulnerability that all have, open, by severity", bound{read: crowdedAssets + 1, sorted: direct.sorted}, filter{Vulnerabilities: all, States: open}, "severity")
	addSorted("of three vulnerabilities by severity", bound{read: direct.read, sorted: 3 * direct.sorted}, filter{Vulnerabilities: append([]string{"CVE-2025-000201"}, append(some, all...)...)}, "severity")
	add("a common product", direct, filter{Products: []string{"product"}})
	add("a rare product", throughFindings, filter{Products: []string{"rare"}})
	add("no such product", direct, filter{Products: []string{"none"}})
	add("with a fix", direct, filter{FixAvailable: &yes})
	add("a rare product in a state", throughFindings, filter{Products: []string{"product"}, States: []inventory.FindingState{inventory.FindingFixed}, Severities: []inventory.Severity{inventory.SeverityLow}})
	add("without a fix", throughUpdates, filter{FixAvailable: &no})
	add("first seen in the second half", throughFindings, filter{FirstSeenFrom: halfway})
	add("first seen at one time", shortlisted, filter{FirstSeenFrom: halfway, FirstSeenBefore: halfway.Add(30 * time.Microsecond)})
	return cases
}

func (f inventoryFixture) runCases(t *testing.T) (cases []filterCase) {
	add := func(name string, filter syncer.RunFilter) {
		// There is one order only, and a tenant has some thousand runs in a year.
		cases = append(cases, filterCase{"runs: " + name, bound{read: 10_000, sorted: filteredPage + 1}, []string{""}, func(ctx context.Context, p inventory.PageRequest) (inventory.Position, error) {
			_, end, err := f.store.ListRuns(ctx, f.mine, filter, inventory.PageRequest{Limit: p.Limit, After: p.After})
			return end, err
		}})
	}
	integrations := f.ids(t, "select public_id from integration where tenant_id = $1 order by name", f.mine)
	add("all", syncer.RunFilter{})
	add("a common state", syncer.RunFilter{States: []syncer.RunState{syncer.Succeeded}})
	add("a rare state", syncer.RunFilter{States: []syncer.RunState{syncer.Failed}})
	add("of a large integration", syncer.RunFilter{Integrations: integrations[:1]})
	add("of a small integration", syncer.RunFilter{Integrations: integrations[1:]})
	add("by hand", syncer.RunFilter{Triggers: []syncer.Trigger{syncer.ByHand}})
	add("created before", syncer.RunFilter{CreatedBefore: halfway.AddDate(0, 0, 3)})
	return cases
}

// checkSummary demands that the cost does not grow with assets and findings, only with the vulnerabilities that are known, and for a tenant
// with few of them not even with these.
func (f inventoryFixture) checkSummary(t *testing.T) {
	for id, most := range map[tenant.ID]int{f.mine: throughExposures.read, f.few: 3 * 2} {
		for _, s := range statements(t, func(ctx context.Context) error { _, err := f.store.Summary(ctx, id); return err }) {
			if cost := f.measure(t, id, s); cost.read > most || cost.sorted > direct.sorted {
				t.Errorf("the summary reads %d rows and sorts %d, %d are allowed:\n%s", cost.read, cost.sorted, most, cost.plan)
			}
		}
	}
}

func (f inventoryFixture) ids(t *testing.T, query string, args ...any) (found []uuid.UUID) {
	t.Helper()
	rows, err := f.owner.Query(query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var id uuid.UUID
		if err := rows.Scan(&id); err != nil {
			t.Fatal(err)
		}
		found = append(found, id)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}
