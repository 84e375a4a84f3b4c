package inventory

import (
	"net/netip"
	"strings"
	"time"
)

// PGP's codes for the status of an asset.
const (
	PGPActive  = "A"
	PGPPending = "P"
)

// PGPLife is how long PGP keeps an asset, a risk or an attribute after its last visit. What a disconnected integration
// left behind lives as long.
const PGPLife = 30 * 24 * time.Hour

// pgpFreshness is PGP's own rule for assets whose source says nothing about their health.
const pgpFreshness = 24 * time.Hour

// pgpSeverities holds PGP's letter and priority of each severity. PGP has no unknown severity; such findings count as
// informational.
var pgpSeverities = [...]struct {
	letter   string
	priority int
}{
	SeverityUnknown:  {"I", 40},
	SeverityLow:      {"L", 30},
	SeverityMedium:   {"M", 20},
	SeverityHigh:     {"H", 10},
	SeverityCritical: {"C", 0},
}

// PGPAssetKey is PGP's key of an asset: group (host name) and identifier (address), in lower case.
func PGPAssetKey(hostname string, ip netip.Addr) string {
	return strings.ToLower("#asset#" + hostname + "#" + ip.String())
}

// PGPAssetStatus is A for an asset that is healthy and was seen within [ActiveWithin], and P otherwise; without a health
// it is A if seen within 24 hours. Carriers are pending, as in PGP's other integrations.
func PGPAssetStatus(a *Asset, now time.Time) string {
	span := ActiveWithin
	if a.Health == "" {
		span = pgpFreshness
	} else if !isHealthy(a.Health) {
		return PGPPending
	}
	if a.Import == Carrier || !seenWithin(a.LastSeen, now, span) {
		return PGPPending
	}
	return PGPActive
}

// PGPRiskName is the name under which PGP keeps a weakness: CVE numbers in upper case, every other name in lower case.
func PGPRiskName(vulnerability string) string {
	if upper := strings.ToUpper(vulnerability); strings.HasPrefix(upper, "CVE-") {
		return upper
	}
	return strings.ToLower(vulnerability)
}

// PGPRiskStatus is T (triage) or R (remediated) and the severity's letter. The other states belong to people and are
// never written. A finding out of scope has no status: it is no longer sent, and ages out.
func PGPRiskStatus(s Severity, state FindingState) string {
	switch state {
	case FindingOpen:
		return "T" + pgpSeverity(s).letter
	case FindingFixed:
		return "R" + pgpSeverity(s).letter
	}
	return ""
}

// PGPPriority is PGP's rank of a severity: 0 for critical, 40 for what is informational.
func PGPPriority(s Severity) int { return pgpSeverity(s).priority }

// PGPRiskKey is PGP's key of a risk. PGP keeps the case of the host name here, other than in asset keys, so it is lower
// case already: otherwise the two would not find each other.
func PGPRiskKey(hostname, vulnerability string) string {
	return "#risk#" + strings.ToLower(hostname) + "#" + PGPRiskName(vulnerability)
}

func pgpSeverity(s Severity) struct {
	letter   string
	priority int
} {
	if s < SeverityUnknown || s > SeverityCritical {
		s = SeverityUnknown
	}
	return pgpSeverities[s]
}
