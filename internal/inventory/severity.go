package inventory

import "strings"

var severityNames = [...]string{
	SeverityUnknown: "unknown", SeverityLow: "low", SeverityMedium: "medium", SeverityHigh: "high", SeverityCritical: "critical",
}

// Severities derived from CVSS base scores, by the qualitative scale of CVSS 3 and 4. Zero means that no impact is
// stated, which is no severity.
var severityBands = []struct {
	from     float64
	severity Severity
}{
	{9, SeverityCritical},
	{7, SeverityHigh},
	{4, SeverityMedium},
	{0, SeverityLow},
}

// ParseSeverity reads Defender's word, without case; any other word is [SeverityUnknown].
func ParseSeverity(word string) Severity {
	word = strings.TrimSpace(word)
	for s := SeverityLow; s <= SeverityCritical; s++ {
		if strings.EqualFold(word, severityNames[s]) {
			return s
		}
	}
	return SeverityUnknown
}

// SeverityOfScore derives a severity from a CVSS base score, which is 0 to 10; anything else is [SeverityUnknown].
func SeverityOfScore(score float64) Severity {
	if !(score > 0 && score <= 10) { // also not a number
		return SeverityUnknown
	}
	for _, band := range severityBands {
		if score >= band.from {
			return band.severity
		}
	}
	return SeverityUnknown
}

// scoreOf is a score that makes the severity, -1 if none does.
func scoreOf(s Severity) float64 {
	for _, band := range severityBands {
		if band.severity == s {
			return band.from + 0.1 // 0 makes none
		}
	}
	return -1
}

// String is the name on the wire: low, medium, high, critical or unknown.
func (s Severity) String() string { return nameOf(severityNames[:], int(s)) }

var severitySourceNames = [...]string{
	FromNothing: "none", FromRowScore: "derived", FromScore: "derived", FromRow: "row", FromVulnerable: "vulnerability",
}

// String is the name on the wire: vulnerability, row, derived or none. Both kinds of scores are "derived".
func (s SeveritySource) String() string { return nameOf(severitySourceNames[:], int(s)) }

var findingStateNames = [...]string{FindingOpen: "open", FindingFixed: "fixed", FindingOutOfScope: "out_of_scope"}

// String is the name on the wire: open, fixed or out_of_scope.
func (s FindingState) String() string { return nameOf(findingStateNames[:], int(s)) }

func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		return ""
	}
	return names[i]
}
