package postgres_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

func (f inventoryFixture) searchAssets(t *testing.T, id tenant.ID, text string) []string {
	t.Helper()
	found := walk(t, inventory.PageRequest{Limit: 2}, func(p inventory.PageRequest) ([]inventory.Asset, inventory.Position, error) {
		return f.store.ListAssets(context.Background(), id, inventory.AssetFilter{Text: text}, p)
	})
	return slices.Sorted(slices.Values(namesOf(found, assetNumber)))
}

func TestAssetsAreFoundByText(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	f.exec(t, `update asset set hostname = 'xn--bro-01-3ya.corp', hostname_raw = 'BÜRO-01.corp' where id = 5; truncate asset_word, vulnerability_words`)
	f.learnWords(t)
	for text, want := range map[string][]string{
		"web":                       {"1", "2"},
		"WEB":                       {"1", "2"},
		"eb":                        nil, // not where a word begins
		"web 01":                    {"1"},
		"01 web":                    {"1"},
		"we 0":                      {"1"},
		"web-01":                    {"1"}, // what stands between words does not count
		"web.01.CORP":               {"1"},
		"web.":                      {"1"}, // a whole word: not webx01
		"corp":                      {"1", "2", "3", "4", "5", "6"},
		"cor corp co":               {"1", "2", "3", "4", "5", "6"},
		"db corp":                   {"3", "4"},
		"corp.db":                   nil, // in a row, but the other way round
		"10.0.0.":                   {"1", "2", "3", "4"},
		"10.0":                      {"1", "2", "3", "4", "6"},
		"10.0.1":                    {"6"},
		"0.0.3":                     nil, // addresses from their beginning only
		"10.0.0.3 db":               {"3", "4"},
		"2001:DB9":                  {"1"},
		"2001:db9::1":               {"1"},
		"198.51":                    nil, // egress is not an address
		"web00":                     nil, // a previous name
		"büro":                      {"5"},
		"BÜRO-01":                   {"5"},
		"xn--bro":                   {"5"},
		"uro":                       nil,
		"50%":                       {"3"}, // of the name as it was reported
		`50%_\'X`:                   {"3"},
		`%_\'`:                      nil,
		"%%":                        nil,
		"& web":                     {"1", "2"},
		`\`:                         nil,
		`' or 1=1 --`:               nil,
		"?::text $1":                nil,
		"web\x00":                   nil,
		"web\xff":                   nil,
		"\U0010FFFF":                nil,
		strings.Repeat("web ", 90):  {"1", "2"},
		strings.Repeat("web", 9000): nil,
	} {
		if got := f.searchAssets(t, f.mine, text); !slices.Equal(got, want) {
			t.Errorf("%.40q: %v, want %v", text, got, want)
		}
	}
}

func TestVulnerabilitiesAreFoundByText(t *testing.T) {
	t.Parallel()
	f := newInventory(t)
	f.exec(t, `update vulnerability set description = 'Schwäche in OPÉRA, a browser' where id = 5; truncate asset_word, vulnerability_words`)
	f.learnWords(t)
	for text, want := range map[string][]string{
		"tvm-":                  {"TVM-2024-0004"},
		"cve-2024-0001":         {"CVE-2024-0001"},
		"CVE 2024 000":          {"CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "CVE-2024-0005"},
		"CVE_2024":              {"CVE-2024-0001", "CVE-2024-0002", "CVE-2024-0003", "CVE-2024-0005"},
		"cve-2024-000.":         nil, // a whole word
		"0003":                  {"CVE-2024-0003"},
		"003":                   nil,
		"OVERFLOW":              {"CVE-2024-0001"},
		"flow":                  nil,
		"saves":                 {"CVE-2024-0001"},
		"save over":             {"CVE-2024-0001"},
		"remote.overflow":       {"CVE-2024-0001"},
		"overflow.remote":       nil,
		"overflow.saves":        nil, // in a row, but from two fields
		"one":                   {"CVE-2024-0003", "CVE-2024-0005"},
		"one low":               {"CVE-2024-0005"},
		"opéra":                 {"CVE-2024-0005"},
		"SCHWÄCHE.IN.OPÉRA":     {"CVE-2024-0005"},
		`50%_\'N`:               {"CVE-2024-0001"},
		`%_\'`:                  nil,
		`\`:                     nil,
		`' or 1=1 --`:           nil,
		"over:* | one":          nil, // operators of the index are signs like others
		"!one":                  {"CVE-2024-0003", "CVE-2024-0005"},
		"CVE\x00":               nil,
		"\xff":                  nil,
		"other":                 nil, // of the other tenant
		"0006":                  nil,
		"nobody":                nil,
		strings.Repeat("a", 99): nil,
	} {
		found := walk(t, inventory.PageRequest{Limit: 2}, func(p inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error) {
			return f.store.ListVulnerabilities(context.Background(), f.mine, inventory.VulnerabilityFilter{Text: text}, p)
		})
		if got := slices.Sorted(slices.Values(namesOf(found, vulnerabilityName))); !slices.Equal(got, want) {
			t.Errorf("%.40q: %v, want %v", text, got, want)
		}
	}
}
