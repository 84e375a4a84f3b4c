package inventory

import "net/netip"

// UnknownVectorPolicy says what happens to findings whose attack vector is not known.
type UnknownVectorPolicy string

// Policies for unknown vectors. Dropping them all would hide fresh zero-days; taking all would flood.
const (
	UnknownInclude  UnknownVectorPolicy = "include"
	UnknownExclude  UnknownVectorPolicy = "exclude"
	UnknownIfSevere UnknownVectorPolicy = "include_if_severe"
)

// Settings are the choices a customer has. What is not here cannot be changed: mobile and IoT exclusion, rejection of
// loopback and link-local addresses, and Defender's severity wording.
type Settings struct {
	ImportAssets             bool
	ImportVulnerabilities    bool
	MinSeverity              Severity
	AttackVectors            []AttackVector
	UnknownVector            UnknownVectorPolicy
	ExcludeUserInteraction   bool
	MaxAgeDays               int // 1..180
	RequireFQDN              bool
	AllowUnderscore          bool
	IncludeDiscovered        bool // machines that are seen on the network but not onboarded
	DeviceGroups             []string
	TagsInclude, TagsExclude []string
	IPDeny                   []netip.Prefix
}

// DefaultSettings are the ones a new integration starts with.
func DefaultSettings() Settings {
	return Settings{
		ImportAssets: true, ImportVulnerabilities: true,
		MinSeverity: SeverityLow, AttackVectors: []AttackVector{VectorNetwork, VectorAdjacent},
		UnknownVector: UnknownIfSevere, MaxAgeDays: 30, AllowUnderscore: true,
	}
}
