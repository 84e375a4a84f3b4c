package postgres_test

import (
	"cmp"
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

func vulnerabilityName(v inventory.ExposedVulnerability) string { return v.Name }

func TestVulnerabilityIsReadWhole(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	ready := true
	want := inventory.ExposedVulnerability{
		Vulnerability: inventory.Vulnerability{
			ID: 1, Name: "CVE-2024-0001", Title: "Remote overflow", Description: `Saves 50%_\'now`, SeverityWord: "Critical",
			Score: 9.8, Vector: "CVSS:3.1/AV:N", EPSS: 0.9, PublicExploit: true, ExploitTypes: []string{"Remote"},
			ExploitURIs: []string{"https://example.com/x"}, Tags: []string{"Zero day"}, Supportability: "Supported",
			PublishedAt: time.Date(2026, 1, 2, 3, 4, 5, 123456000, time.UTC), UpdatedAt: day(3),
		},
		Severity: inventory.SeverityCritical, AttackVector: inventory.VectorNetwork, ExposedAssets: 1, FirstSeenAt: day(1),
		Updates: []inventory.Update{{Vendor: "google", Product: "chrome", Version: "120", Text: "Update Chrome",
			ID: "KB1", URL: "https://example.com/kb1", Ready: &ready}},
	}
	got, err := f.store.Vulnerability(context.Background(), f.mine, "cve-2024-0001")
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Vulnerability: %v\n got %+v\nwant %+v", err, got, want)
	}
	listed, _, err := f.store.ListVulnerabilities(context.Background(), f.mine, inventory.VulnerabilityFilter{Text: "0001 over"}, everything)
	want.Updates = nil
	if err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0], want) {
		t.Errorf("ListVulnerabilities: %v\n got %+v\nwant %+v", err, listed, want)
	}
	bare, err := f.store.Vulnerability(context.Background(), f.mine, "CVE-2024-0002")
	if err != nil || bare.Score >= 0 || bare.EPSS >= 0 || !bare.PublishedAt.IsZero() || !bare.Partial || bare.Updates != nil {
		t.Errorf("a vulnerability with nothing optional: %v, %+v", err, bare)
	}
}

func TestVulnerabilityWithoutExposureIsNotFound(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	for _, name := range []string{"CVE-2024-0006", "CVE-2024-0007", "CVE-1999-0001", "", "%", "\x00", `' or ''='`} {
		if _, err := f.store.Vulnerability(context.Background(), f.mine, name); !fault.Is(err, fault.CodeNotFound) {
			t.Errorf("%q: %v, want not_found", name, err)
		}
	}
	if _, err := f.store.Vulnerability(context.Background(), f.other, "CVE-2024-0006"); err != nil {
		t.Errorf("the tenant that is exposed: %v", err)
	}
}

func TestVulnerabilityFilters(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	type filter = inventory.VulnerabilityFilter
	yes, no := true, false
	all := []string{"CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "CVE-2024-0005", "TVM-2024-0004"}
	cases := map[string]struct {
		filter inventory.VulnerabilityFilter
		want   []string
	}{
		"everything":             {filter{}, all},
		"severities":             {filter{Severities: []inventory.Severity{inventory.SeverityUnknown, inventory.SeverityHigh}}, []string{"CVE-2024-0002", "CVE-2024-0003", "TVM-2024-0004"}},
		"vectors":                {filter{Vectors: []inventory.AttackVector{inventory.VectorUnknown, inventory.VectorAdjacent}}, []string{"CVE-2024-0002", "TVM-2024-0004"}},
		"any exploit":            {filter{Exploit: &yes}, []string{"CVE-2024-0001", "CVE-2024-0003", "TVM-2024-0004"}},
		"no exploit":             {filter{Exploit: &no}, []string{"CVE-2024-0002", "CVE-2024-0005"}},
		"EPSS, inclusive":        {filter{EPSSFrom: 0.9}, []string{"CVE-2024-0001"}},
		"EPSS, lower":            {filter{EPSSFrom: 0.4}, []string{"CVE-2024-0001", "CVE-2024-0003", "CVE-2024-0005"}},
		"published within":       {filter{PublishedFrom: day(2), PublishedBefore: day(5)}, []string{"CVE-2024-0001"}},
		"published, inclusive":   {filter{PublishedFrom: day(5)}, []string{"CVE-2024-0003", "CVE-2024-0005"}},
		"combined":               {filter{Exploit: &yes, EPSSFrom: 0.1, PublishedFrom: day(3)}, []string{"CVE-2024-0003"}},
		"combined, none matches": {filter{Exploit: &no, EPSSFrom: 0.8}, nil},
	}
	for name, c := range cases {
		got := walk(t, everything, func(p inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
			return f.store.ListVulnerabilities(context.Background(), f.mine, c.filter, p)
		})
		names := namesOf(got, vulnerabilityName)
		slices.Sort(names)
		if !slices.Equal(names, c.want) {
			t.Errorf("%s: %v, want %v", name, names, c.want)
		}
	}
}

func TestVulnerabilitiesSortedAndPaged(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	checkSorts(t, inventory.VulnerabilitySorts, 5, vulnerabilityName,
		map[string]func(a, b inventory.ExposedVulnerability) int{
			"id":             func(a, b inventory.ExposedVulnerability) int { return cmp.Compare(a.Name, b.Name) },
			"severity":       func(a, b inventory.ExposedVulnerability) int { return cmp.Compare(a.Severity, b.Severity) },
			"epss":           func(a, b inventory.ExposedVulnerability) int { return cmp.Compare(a.EPSS, b.EPSS) },
			"published_at":   func(a, b inventory.ExposedVulnerability) int { return a.PublishedAt.Compare(b.PublishedAt) },
			"exposed_assets": func(a, b inventory.ExposedVulnerability) int { return cmp.Compare(a.ExposedAssets, b.ExposedAssets) },
		},
		func(p inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
			return f.store.ListVulnerabilities(context.Background(), f.mine, inventory.VulnerabilityFilter{}, p)
		})
	usual, _, err := f.store.ListVulnerabilities(context.Background(), f.mine, inventory.VulnerabilityFilter{}, everything)
	want := []string{"CVE-2024-0001", "CVE-2024-0003", "CVE-2024-0002", "CVE-2024-0005", "TVM-2024-0004"}
	if got := namesOf(usual, vulnerabilityName); err != nil || !slices.Equal(got, want) {
		t.Errorf("usual order %v (%v), want %v, worst first", got, err, want)
	}
}
