package httpapi

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

func TestSnake(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"": "", "Active": "active", "ImpairedCommunication": "impaired_communication", "NoSensorDataImpairedCommunication": "no_sensor_data_impaired_communication",
		"CanBeOnboarded": "can_be_onboarded", "onboarded": "onboarded", "no_sensor_data": "no_sensor_data", "Insufficient info": "insufficient_info",
		"MicrosoftDefenderForEndpoint": "microsoft_defender_for_endpoint", "MDE": "mde", "MDEManaged": "mde_managed", "Intune": "intune",
	} {
		if got := snake(word); got != want {
			t.Errorf("snake(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestCVSSVersion(t *testing.T) {
	t.Parallel()
	for vector, want := range map[string]string{
		"": "", "CVSS:3.1/AV:N/AC:L": "3.1", "cvss:4.0/AV:N": "4.0", "AV:N/AC:L/Au:N/C:P/I:P/A:P": "2.0", "CVSS:3.0": "3.0",
	} {
		if got := cvssVersion(vector); got != want {
			t.Errorf("cvssVersion(%q) = %q, want %q", vector, got, want)
		}
	}
}

func TestIDsHaveOneSpelling(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("019a9b6d-10f2-7a3c-9e4b-5d6c7f8a9b01")
	if back, ok := parseID(integrationPrefix, integrationID(id)); !ok || back != id {
		t.Errorf("%s became %s, %v", id, back, ok)
	}
	for _, text := range []string{"", "int_", "run_019a9b6d10f27a3c9e4b5d6c7f8a9b01", "int_019A9B6D10F27A3C9E4B5D6C7F8A9B01", "int_019a9b6d-10f2-7a3c-9e4b-5d6c7f8a9b01", "int_019a9b6d10f27a3c9e4b5d6c7f8a9b0g", " int_019a9b6d10f27a3c9e4b5d6c7f8a9b01"} {
		if _, ok := parseID(integrationPrefix, text); ok {
			t.Errorf("%q is taken for an id", text)
		}
	}
	for _, number := range []int32{1, 0x2f1c, math.MaxInt32} {
		if asset, n, ok := parseFindingID(findingID(id, number)); !ok || asset != id || n != number {
			t.Errorf("finding of %d became %s %d %v", number, asset, n, ok)
		}
	}
	for _, tail := range []string{"", "_", "_01", "_2F", "_80000000", "_1_1", "_x", "_-1", "_+1"} {
		if _, _, ok := parseFindingID("fnd_019a9b6d10f27a3c9e4b5d6c7f8a9b01" + tail); ok {
			t.Errorf("%q is taken for the end of a finding's id", tail)
		}
	}
	if _, _, ok := parseFindingID("ast_019a9b6d10f27a3c9e4b5d6c7f8a9b01_1"); ok {
		t.Error("another prefix is taken for a finding's")
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{0: "5", -1: "5", time.Millisecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", 48 * time.Hour: "86400"} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%s) = %s, want %s", d, got, want)
		}
	}
}

func TestSentence(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "", "there is none": "There is none.", "Done.": "Done.", " élan ": "Élan.", "why?": "Why?"} {
		if got := sentence(text); got != want {
			t.Errorf("sentence(%q) = %q, want %q", text, got, want)
		}
	}
}

// Every value of the domain has a word, or a page of a list would fail on it.
func TestWordsCoverTheDomain(t *testing.T) {
	t.Parallel()
	for s := inventory.SeverityUnknown; s <= inventory.SeverityCritical; s++ {
		wordFor(severities, s)
	}
	for v := inventory.VectorUnknown; v <= inventory.VectorPhysical; v++ {
		wordFor(vectors, v)
	}
	for s := inventory.FromNothing; s <= inventory.FromVulnerable; s++ {
		wordFor(severitySources, s)
	}
	for s := inventory.FindingOpen; s <= inventory.FindingOutOfScope; s++ {
		wordFor(findingStates, s)
	}
	for _, family := range []string{
		inventory.FamilyWindows, inventory.FamilyWindowsServer, inventory.FamilyMacOS, inventory.FamilyLinux, inventory.FamilyBSD, inventory.FamilyUnix, inventory.FamilyOther,
	} {
		if osFamily(family) == "other" && (family == inventory.FamilyWindows || family == inventory.FamilyLinux || family == inventory.FamilyMacOS) {
			t.Errorf("%s has no word of its own", family)
		}
	}
}

func TestWhyAnEntitlementDoesNotCount(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 5, 12, 0, 0, 0, time.UTC)
	day := func(d int) time.Time { return time.Date(2026, 3, d, 0, 0, 0, 0, time.UTC) }
	for want, e := range map[string]tenant.Entitlement{
		"": {InternalAssessments: true, ValidFrom: day(5), ValidUntil: day(5)}, "entitlement_missing": {ValidFrom: day(9)},
		"entitlement_not_yet_valid": {InternalAssessments: true, ValidFrom: day(6)}, "entitlement_expired": {InternalAssessments: true, ValidUntil: day(4)},
	} {
		if got := notEffective(e, now); got != want {
			t.Errorf("%+v: %q, want %q", e, got, want)
		}
	}
}

func TestMethodsOfMetrics(t *testing.T) {
	t.Parallel()
	if knownMethod(http.MethodPatch) != http.MethodPatch || knownMethod("X") != "OTHER" {
		t.Error("method labels are wrong")
	}
}
