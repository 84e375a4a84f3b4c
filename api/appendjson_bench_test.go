package api

import (
	"testing"
	"time"
)

// BenchmarkAppendJSON writes pages of 50 items as the service does; "plain" is how it would without encoders.
func BenchmarkAppendJSON(b *testing.B) {
	benchmarkPage(b, "assets", usualAsset())
	benchmarkPage(b, "vulnerabilities", usualVulnerability())
	benchmarkPage(b, "findings", usualFinding())
}

func benchmarkPage[T any](b *testing.B, name string, item T) {
	page := Page[T]{NextCursor: "next"}
	for range 50 {
		page.Items = append(page.Items, item)
	}
	run := func(how string, write func() ([]byte, error)) {
		b.Run(name+"/"+how, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				body, err := write()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(int64(len(body)))
			}
		})
	}
	run("encoder", func() ([]byte, error) { return page.AppendJSON(nil) })
	run("plain", func() ([]byte, error) { return plainJSON(page) })
}

// benchmarkTime has the microseconds that PostgreSQL keeps.
var benchmarkTime = time.Date(2026, 11, 21, 6, 15, 9, 123456000, time.UTC)

func usualAsset() Asset {
	return Asset{
		ID: "ast_0123456789abcdef0123456789abcdef", IntegrationID: "int_0123456789abcdef0123456789abcdef", SourceID: "0123456789abcdef0123456789abcdef01234567",
		Hostname: "ws-00499.corp.contoso.com", HostnameRaw: "WS-00499.corp.contoso.com", NameKind: "fqdn", PreviousHostnames: []string{}, PrimaryIP: "10.10.1.250",
		Addresses: []Address{{IP: "10.10.1.250", MAC: "00:15:5d:1a:2b:3c", Scope: "private", InterfaceType: "Ethernet", Up: new(true)}, {IP: "fd12::40", Scope: "private", Up: new(true)}},
		EgressIP:  "203.0.113.7", OS: OperatingSystem{Platform: "Windows11", Family: OSWindows, Version: "23H2", Build: new(int64(22631)), Arch: "64-bit"},
		HealthStatus: "active", OnboardingStatus: "onboarded", FirstSeenAt: benchmarkTime, LastSeenAt: benchmarkTime, State: "active", ImportState: "imported",
		RiskScore: "high", ExposureLevel: "medium", DeviceValue: "normal", RBACGroupID: "12", RBACGroupName: "Servers", MachineTags: []string{"PCI"},
		AADDeviceID: "33333333-3333-4333-8333-333333333333", IsAADJoined: new(true), AgentVersion: "10.8760.22621.3880", ManagedBy: "intune", ManagedByStatus: "success",
		Surface: []Surface{SurfaceInternal}, FindingCounts: SeverityCounts{Total: 38, Critical: 9, High: 23, Medium: 6},
		PGP:       PGPAsset{Key: "#asset#ws-00499#10.10.1.250", Status: "A", AttackSurface: []Surface{SurfaceInternal}, TTL: new(int64(1780000000))},
		CreatedAt: benchmarkTime, UpdatedAt: benchmarkTime,
	}
}

func usualVulnerability() Vulnerability {
	return Vulnerability{
		ID: "CVE-2026-21412", Title: "Remote code execution in the handling of objects in memory", Severity: "critical", AttackVector: "network",
		Description: "Summary: a flaw lets an attacker, who has none of the rights, run \"code\" of their own.\nRemediation: apply the latest patches and updates provided by the vendor’s site.",
		CVSS:        &CVSS{Score: 9.8, Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Version: "3.1"}, EPSS: new(0.87),
		Exploit: Exploit{Public: true, Types: []string{"Remote"}, URIs: []string{"https://example.com/x"}}, PublishedAt: benchmarkTime, UpdatedAt: benchmarkTime,
		ExposedAssets: 6, Detail: DetailFull,
	}
}

func usualFinding() Finding {
	return Finding{
		ID: "fnd_0123456789abcdef0123456789abcdef_4f2", AssetID: "ast_0123456789abcdef0123456789abcdef", IntegrationID: "int_0123456789abcdef0123456789abcdef",
		Hostname: "ws-00499.corp.contoso.com", PrimaryIP: "10.10.1.250", VulnerabilityID: "CVE-2026-21412", Title: "CVE-2026-21412", State: FindingOpen,
		Severity: "critical", SeveritySource: "vulnerability", AttackVector: "network", FirstSeenAt: benchmarkTime, LastSeenAt: benchmarkTime, FixAvailable: true, Detail: DetailFull,
		Instances: []Instance{{Vendor: "microsoft", Product: "windows_11", Version: "10.0.22631.31", Paths: []string{`C:\Windows`}, RegistryKeys: []string{}, KB: &SecurityUpdate{ID: "5034650"}}},
		PGP:       &PGPRisk{Key: "#risk#ws-00499#CVE-2026-21412", Name: "CVE-2026-21412", Status: "TC"}, CreatedAt: benchmarkTime, UpdatedAt: benchmarkTime,
	}
}
