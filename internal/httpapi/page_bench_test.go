package httpapi

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/inventory"
)

// BenchmarkAnswerPage converts, writes and tags pages of 50 items.
func BenchmarkAnswerPage(b *testing.B) {
	b.Run("assets", func(b *testing.B) {
		now := benchmarkMoment.Add(time.Hour)
		benchmarkAnswer(b, usualAsset(), func(a *inventory.Asset) api.Asset { return asset(a, now) })
	})
	b.Run("vulnerabilities", func(b *testing.B) { benchmarkAnswer(b, usualVulnerability(), vulnerability) })
}

func benchmarkAnswer[D, W any](b *testing.B, item D, convert func(*D) W) {
	s := &server{cursors: cursors{key: bytes.Repeat([]byte("k"), 32), now: time.Now}}
	r := httptest.NewRequest(http.MethodGet, "/v1/list", nil)
	r = r.WithContext(context.WithValue(r.Context(), exchangeKey{}, &exchange{}))
	items := make([]D, 50)
	for i := range items {
		items[i] = item
	}
	b.ReportAllocs()
	for b.Loop() {
		w := counting{http.Header{}, 0}
		if err := answerPage(s, &w, r, items, inventory.Position{"hostname", "ws-00499", "4711"}, convert); err != nil || w.written < 20_000 {
			b.Fatal(w.written, err)
		}
	}
}

// counting takes an answer and keeps nothing of it.
type counting struct {
	header  http.Header
	written int
}

func (c *counting) Header() http.Header { return c.header }
func (c *counting) WriteHeader(int)     {}
func (c *counting) Write(body []byte) (int, error) {
	c.written += len(body)
	return len(body), nil
}

var benchmarkMoment = time.Date(2026, 11, 21, 6, 15, 9, 123456000, time.UTC)

func usualAsset() inventory.Asset {
	ip, other := netip.MustParseAddr("10.10.1.250"), netip.MustParseAddr("fd12::40")
	return inventory.Asset{
		ID: 4711, PublicID: uuid.New(), IntegrationPublic: uuid.New(), SourceID: "0123456789abcdef0123456789abcdef01234567", Hostname: "ws-00499.corp.contoso.com",
		HostnameRaw: "WS-00499.corp.contoso.com", NameKind: "fqdn", PrimaryIP: ip, EgressIP: netip.MustParseAddr("203.0.113.7"),
		Addresses: []inventory.Address{{IP: other, Scope: "private", InterfaceType: "ethernet", Up: true}, {IP: ip, MAC: "00:15:5d:1a:2b:3c", Scope: "private", InterfaceType: "ethernet", Up: true}},
		OS:        inventory.OS{Platform: "Windows11", Family: inventory.FamilyWindows, Version: "23H2", Build: 22631, Architecture: "64-bit", Processor: "x64"},
		Health:    "Active", Onboarding: "Onboarded", RiskScore: "High", ExposureLevel: "Medium", DeviceValue: "Normal", GroupID: 12, GroupName: "Servers",
		Tags: []string{"PCI"}, AADDeviceID: "33333333-3333-4333-8333-333333333333", AADJoined: new(true), AgentVersion: "10.8760.22621.3880", ManagedBy: "MicrosoftDefenderForEndpoint",
		ManagedByStatus: "Success", FirstSeen: benchmarkMoment, LastSeen: benchmarkMoment, State: inventory.AssetActive, Counts: inventory.SeverityCounts{Critical: 9, High: 23},
		CreatedAt: benchmarkMoment, UpdatedAt: benchmarkMoment,
	}
}

func usualVulnerability() inventory.ExposedVulnerability {
	return inventory.ExposedVulnerability{
		Vulnerability: inventory.Vulnerability{
			ID: 815, Name: "CVE-2026-21412", Title: "Remote code execution", SeverityWord: "Critical", Score: 9.8, EPSS: 0.87, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
			Description:   "Summary: a flaw lets an attacker, who has none of the rights, run \"code\" of their own.\nRemediation: apply the latest patches that the vendor provides.",
			PublicExploit: true, ExploitTypes: []string{"Remote"}, ExploitURIs: []string{"https://example.com/x"}, PublishedAt: benchmarkMoment, UpdatedAt: benchmarkMoment,
		},
		Severity: inventory.SeverityCritical, AttackVector: inventory.VectorNetwork, ExposedAssets: 6, FirstSeenAt: benchmarkMoment,
	}
}
