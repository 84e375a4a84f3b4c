package postgres_test

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// findingName is the seed's "asset/vulnerability".
func findingName(f inventory.Finding) string {
	return fmt.Sprintf("%d/%d", f.AssetID[15], f.VulnID)
}

func (f inventoryFixture) findings(id tenant.ID, filter inventory.FindingFilter) func(inventory.PageRequest) ([]inventory.Finding, inventory.Position, error) {
	return func(p inventory.PageRequest) ([]inventory.Finding, inventory.Position, error) {
		return f.store.ListFindings(context.Background(), id, filter, p)
	}
}

func TestFindingIsReadWhole(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	ready := true
	want := inventory.Finding{
		AssetID: assetID(f.mine, 1), IntegrationPublic: integrationID(f.mine, 1), Hostname: "web_01.corp", PrimaryIP: netip.MustParseAddr("10.0.0.1"), VulnID: 1,
		Vulnerability: "CVE-2024-0001", Title: "Remote overflow", Severity: inventory.SeverityCritical,
		Source: inventory.FromVulnerable, AttackVector: inventory.VectorNetwork, State: inventory.FindingOpen,
		FirstSeenAt: day(1), LastSeenAt: day(6), ReopenedAt: day(5), ReopenCount: 2, CreatedAt: day(1), UpdatedAt: day(2),
		Instances: []inventory.Instance{
			{SoftwareID: 1, Vendor: "google", Product: "chrome", Version: "120", DiskPaths: []string{`c:\chrome`},
				RegistryPaths: []string{`HKLM\chrome`}, UpdateText: "Update Chrome", UpdateID: "KB1",
				UpdateURL: "https://example.com/kb1", UpdateReady: &ready},
			{SoftwareID: 3, Vendor: "microsoft", Product: "edge", Version: "1"},
		},
	}
	got, err := f.store.Finding(context.Background(), f.mine, assetID(f.mine, 1), 1)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Finding: %v\n got %+v\nwant %+v", err, got, want)
	}
	listed, end, err := f.store.ListFindings(context.Background(), f.mine, inventory.FindingFilter{States: []inventory.FindingState{inventory.FindingOpen}}, inventory.PageRequest{Limit: 1})
	if err != nil || end == nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
		t.Errorf("ListFindings: %v\n got %+v\nwant %+v", err, listed, want)
	}
}

func TestTimesOfFindings(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	for _, c := range []struct {
		what        string
		asset       int
		vuln        int32
		state       inventory.FindingState
		seen, fixed int // days of January 2026; 0 for the zero time
		reason      string
	}{
		{"open, its rows were seen", 1, 3, inventory.FindingOpen, 6, 0, ""},
		{"open, only the machine was seen", 2, 3, inventory.FindingOpen, 7, 0, ""},
		{"open, nothing was seen", 3, 5, inventory.FindingOpen, 0, 0, ""},
		{"fixed", 2, 2, inventory.FindingFixed, 3, 4, ""},
		{"out of scope", 6, 1, inventory.FindingOutOfScope, 5, 0, "removed"},
	} {
		got, err := f.store.Finding(context.Background(), f.mine, assetID(f.mine, c.asset), c.vuln)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if got.State != c.state || got.StateReason != c.reason {
			t.Errorf("%s: state %d %q", c.what, got.State, got.StateReason)
		}
		if c.seen == 0 && !got.LastSeenAt.IsZero() || c.seen != 0 && !got.LastSeenAt.Equal(day(c.seen)) {
			t.Errorf("%s: last seen %v, want day %d", c.what, got.LastSeenAt, c.seen)
		}
		if c.fixed == 0 && !got.FixedAt.IsZero() || c.fixed != 0 && !got.FixedAt.Equal(day(c.fixed)) {
			t.Errorf("%s: fixed %v, want day %d", c.what, got.FixedAt, c.fixed)
		}
	}
}

func TestUnknownFindingIsNotFound(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	for _, c := range []struct {
		asset uuid.UUID
		vuln  int32
	}{{assetID(f.mine, 1), 2}, {assetID(f.mine, 99), 1}, {assetID(f.other, 1), 1}, {assetID(f.other, 5), 6}, {assetID(f.mine, 5), 6}, {uuid.UUID{}, -1}} {
		if _, err := f.store.Finding(context.Background(), f.mine, c.asset, c.vuln); !fault.Is(err, fault.CodeNotFound) {
			t.Errorf("finding %s/%d: %v, want not_found", c.asset, c.vuln, err)
		}
	}
}

func TestFindingFilters(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	type filter = inventory.FindingFilter
	type states = []inventory.FindingState
	yes, no := true, false
	all := []string{"1/1", "1/3", "2/2", "2/3", "3/5", "4/4", "6/1"}
	cases := map[string]struct {
		filter inventory.FindingFilter
		want   []string
	}{
		"every state":              {filter{}, all},
		"open":                     {filter{States: states{inventory.FindingOpen}}, []string{"1/1", "1/3", "2/3", "3/5", "4/4"}},
		"closed":                   {filter{States: states{inventory.FindingFixed, inventory.FindingOutOfScope}}, []string{"2/2", "6/1"}},
		"severities":               {filter{Severities: []inventory.Severity{inventory.SeverityUnknown, inventory.SeverityLow}}, []string{"3/5", "4/4"}},
		"assets":                   {filter{Assets: []uuid.UUID{assetID(f.mine, 1), assetID(f.mine, 6)}}, []string{"1/1", "1/3", "6/1"}},
		"foreign asset":            {filter{Assets: []uuid.UUID{assetID(f.other, 1)}}, nil},
		"vulnerabilities":          {filter{Vulnerabilities: []string{"cve-2024-0001", "TVM-2024-0004"}}, []string{"1/1", "4/4", "6/1"}},
		"foreign vulnerability":    {filter{Vulnerabilities: []string{"CVE-2024-0006"}}, nil},
		"no such vulnerability":    {filter{Vulnerabilities: []string{"CVE-%", "\x00"}}, nil},
		"product":                  {filter{Products: []string{"Chrome"}}, []string{"1/1", "1/3", "2/3", "3/5", "6/1"}},
		"vendor and product":       {filter{Products: []string{"ACME/Chrome"}}, []string{"1/3", "2/3"}},
		"either product":           {filter{Products: []string{"acme/tool", "edge"}}, []string{"1/1", "2/2", "2/3"}},
		"product is exact":         {filter{Products: []string{"chrom", "%", "_dge", "google/"}}, nil},
		"product of signs":         {filter{Products: []string{"100%"}}, []string{"4/4"}},
		"hostile product":          {filter{Products: []string{`%_\'`, `') or true --`, "\x00", "{chrome}"}}, nil},
		"fix available":            {filter{FixAvailable: &yes}, []string{"1/1", "3/5", "6/1"}},
		"no fix available":         {filter{FixAvailable: &no}, []string{"1/3", "2/2", "2/3", "4/4"}},
		"first seen, inclusive":    {filter{FirstSeenFrom: day(6)}, []string{"3/5", "4/4"}},
		"first seen, exclusive":    {filter{FirstSeenFrom: day(6), FirstSeenBefore: day(6)}, nil},
		"first seen within":        {filter{FirstSeenFrom: day(6), FirstSeenBefore: day(7)}, []string{"3/5", "4/4"}},
		"integration":              {filter{Integrations: []uuid.UUID{integrationID(f.mine, 2)}}, []string{"3/5", "4/4"}},
		"foreign integration":      {filter{Integrations: []uuid.UUID{integrationID(f.other, 2)}}, nil},
		"combined":                 {filter{States: states{inventory.FindingOpen}, Products: []string{"chrome"}, FixAvailable: &yes}, []string{"1/1", "3/5"}},
		"combined, none matches":   {filter{States: states{inventory.FindingFixed}, Products: []string{"chrome"}}, nil},
		"asset of one integration": {filter{Assets: []uuid.UUID{assetID(f.mine, 1)}, Integrations: []uuid.UUID{integrationID(f.mine, 2)}}, nil},
	}
	for name, c := range cases {
		names := namesOf(walk(t, everything, f.findings(f.mine, c.filter)), findingName)
		slices.Sort(names)
		if !slices.Equal(names, c.want) {
			t.Errorf("%s: %v, want %v", name, names, c.want)
		}
		paged := namesOf(walk(t, inventory.PageRequest{Limit: 1}, f.findings(f.mine, c.filter)), findingName)
		slices.Sort(paged)
		if !slices.Equal(paged, c.want) {
			t.Errorf("%s, one by one: %v, want %v", name, paged, c.want)
		}
	}
}

func TestFindingsSortedAndPaged(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	checkSorts(t, inventory.FindingSorts, 7, findingName,
		map[string]func(a, b inventory.Finding) int{
			"severity":      func(a, b inventory.Finding) int { return cmp.Compare(a.Severity, b.Severity) },
			"first_seen_at": func(a, b inventory.Finding) int { return a.FirstSeenAt.Compare(b.FirstSeenAt) },
		}, f.findings(f.mine, inventory.FindingFilter{}))
	got := namesOf(walk(t, everything, f.findings(f.mine, inventory.FindingFilter{})), findingName)
	if want := []string{"6/1", "1/1", "2/3", "2/2", "1/3", "3/5", "4/4"}; !slices.Equal(got, want) {
		t.Errorf("usual order %v, want %v, worst first", got, want)
	}
}

// While a purge is under way, findings outlive their asset for a moment. They are not shown, and the list does not end
// at them.
func TestFindingsWithoutAssetDoNotEndTheList(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	f.exec(t, fmt.Sprintf("delete from asset where tenant_id = %d and id = 2", f.mine))
	var got []string
	page := inventory.PageRequest{Limit: 1}
	for range 20 {
		items, end, err := f.store.ListFindings(context.Background(), f.mine, inventory.FindingFilter{}, page)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, namesOf(items, findingName)...)
		if page.After = end; end == nil {
			break
		}
	}
	if want := []string{"6/1", "1/1", "1/3", "3/5", "4/4"}; !slices.Equal(got, want) {
		t.Errorf("findings %v, want %v", got, want)
	}
}
