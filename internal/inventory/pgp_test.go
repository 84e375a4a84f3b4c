package inventory

import (
	"net/netip"
	"testing"
	"time"
)

func TestPGPKeys(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{PGPAssetKey("web01.contoso.com", netip.MustParseAddr("10.0.0.5")), "#asset#web01.contoso.com#10.0.0.5"},
		{PGPAssetKey("WEB01", netip.MustParseAddr("FD00::A")), "#asset#web01#fd00::a"},
		{PGPRiskName("cve-2024-0001"), "CVE-2024-0001"},
		{PGPRiskName("TVM-2020-0002"), "tvm-2020-0002"},
		{PGPRiskKey("Web01", "CVE-2024-0001"), "#risk#web01#CVE-2024-0001"},
		{PGPRiskKey("web01", "TVM-2020-0002"), "#risk#web01#tvm-2020-0002"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestPGPAssetStatus(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, tt := range []struct {
		name   string
		health string
		age    time.Duration
		carry  ImportState
		want   string
	}{
		{"healthy, recent", "Active", 7 * day, Imported, "A"},
		{"healthy, old", "active", 7*day + 1, Imported, "P"},
		{"unhealthy", "ImpairedCommunication", time.Hour, Imported, "P"},
		{"health unknown to Defender", "Unknown", time.Hour, Imported, "P"},
		{"no health, seen within a day", "", day, Imported, "A"},
		{"no health, seen before", "", day + 1, Imported, "P"},
		{"carrier", "Active", time.Hour, Carrier, "P"},
		{"carrier without health", "", time.Hour, Carrier, "P"},
	} {
		a := Asset{Health: tt.health, LastSeen: now.Add(-tt.age), Import: tt.carry}
		if got := PGPAssetStatus(&a, now); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	if got := PGPAssetStatus(&Asset{Health: "Active", Import: Imported}, now); got != "P" {
		t.Errorf("never seen: %s", got)
	}
}

func TestPGPSeverities(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		severity    Severity
		open, fixed string
		priority    int
	}{
		{SeverityCritical, "TC", "RC", 0}, {SeverityHigh, "TH", "RH", 10}, {SeverityMedium, "TM", "RM", 20}, {SeverityLow, "TL", "RL", 30},
		{SeverityUnknown, "TI", "RI", 40}, {Severity(-1), "TI", "RI", 40}, {Severity(9), "TI", "RI", 40},
	} {
		open, fixed := PGPRiskStatus(tt.severity, FindingOpen), PGPRiskStatus(tt.severity, FindingFixed)
		if open != tt.open || fixed != tt.fixed || PGPPriority(tt.severity) != tt.priority {
			t.Errorf("%v: %s, %s, %d; want %s, %s, %d", tt.severity, open, fixed, PGPPriority(tt.severity), tt.open, tt.fixed, tt.priority)
		}
		if got := PGPRiskStatus(tt.severity, FindingOutOfScope); got != "" {
			t.Errorf("%v out of scope: %s", tt.severity, got)
		}
	}
}
