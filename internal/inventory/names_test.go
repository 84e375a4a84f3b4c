package inventory

import (
	"math"
	"testing"
)

func TestParseSeverity(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]Severity{
		"Low": SeverityLow, "MEDIUM": SeverityMedium, " High ": SeverityHigh, "critical": SeverityCritical,
		"": SeverityUnknown, "Unknown": SeverityUnknown, "None": SeverityUnknown, "Important": SeverityUnknown, "Informational": SeverityUnknown, "lo": SeverityUnknown,
	} {
		if got := ParseSeverity(word); got != want {
			t.Errorf("ParseSeverity(%q) = %v, want %v", word, got, want)
		}
	}
}

func TestSeverityOfScore(t *testing.T) {
	t.Parallel()
	for score, want := range map[float64]Severity{
		-1: SeverityUnknown, 0: SeverityUnknown, 0.1: SeverityLow, 3.9: SeverityLow, 4: SeverityMedium, 6.9: SeverityMedium, 7: SeverityHigh,
		8.9: SeverityHigh, 9: SeverityCritical, 10: SeverityCritical, 10.1: SeverityUnknown, math.NaN(): SeverityUnknown, math.Inf(1): SeverityUnknown,
	} {
		if got := SeverityOfScore(score); got != want {
			t.Errorf("SeverityOfScore(%v) = %v, want %v", score, got, want)
		}
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	checkNames(t, map[Severity]string{
		SeverityUnknown: "unknown", SeverityLow: "low", SeverityMedium: "medium", SeverityHigh: "high", SeverityCritical: "critical",
	})
	checkNames(t, map[AttackVector]string{
		VectorUnknown: "unknown", VectorNetwork: "network", VectorAdjacent: "adjacent", VectorLocal: "local", VectorPhysical: "physical",
	})
	checkNames(t, map[FindingState]string{FindingOpen: "open", FindingFixed: "fixed", FindingOutOfScope: "out_of_scope"})
	checkNames(t, map[SeveritySource]string{
		FromNothing: "none", FromScore: "derived", FromRowScore: "derived", FromRow: "row", FromVulnerable: "vulnerability",
	})
}

func checkNames[T interface {
	~int8
	comparable
	String() string
}](t *testing.T, names map[T]string) {
	t.Helper()
	for value, name := range names {
		if got := value.String(); got != name {
			t.Errorf("%T(%d) is %q, want %q", value, int8(value), got, name)
		}
	}
	for _, value := range []T{-1, 100} {
		if got := value.String(); got != "" {
			t.Errorf("%T(%d) is %q", value, int8(value), got)
		}
	}
}
