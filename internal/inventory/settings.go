package inventory

import (
	"net/netip"
	"reflect"
	"slices"
)

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

// Equal tells whether two settings let the same records count, as far as they are written alike: no list is an empty one.
func (s Settings) Equal(o Settings) bool {
	for _, x := range []*Settings{&s, &o} {
		x.AttackVectors, x.IPDeny = noneAsNil(x.AttackVectors), noneAsNil(x.IPDeny)
		x.DeviceGroups, x.TagsInclude, x.TagsExclude = noneAsNil(x.DeviceGroups), noneAsNil(x.TagsInclude), noneAsNil(x.TagsExclude)
	}
	return reflect.DeepEqual(s, o)
}

// SameMachines tells whether two settings let the same machines count.
func (s Settings) SameMachines(o Settings) bool { return s.withRowRules(o).Equal(o) }

// SameRows tells whether two settings let the same rows count of machines that do.
func (s Settings) SameRows(o Settings) bool { return o.withRowRules(s).Equal(o) }

// MachineRules is s without the rules for rows: settings that let the same machines count agree in it.
func (s Settings) MachineRules() Settings { return s.withRowRules(Settings{}) }

// RowRules is s without the rules for machines: settings that let the same rows count of machines that do agree in it.
func (s Settings) RowRules() Settings { return Settings{}.withRowRules(s) }

// withRowRules gives s the rules for rows of o.
func (s Settings) withRowRules(o Settings) Settings {
	s.ImportVulnerabilities, s.MinSeverity, s.AttackVectors = o.ImportVulnerabilities, o.MinSeverity, o.AttackVectors
	s.UnknownVector, s.ExcludeUserInteraction = o.UnknownVector, o.ExcludeUserInteraction
	return s
}

// unknownVectorPolicies are in the order of how much they take.
var unknownVectorPolicies = []UnknownVectorPolicy{UnknownExclude, UnknownIfSevere, UnknownInclude}

// TakesMoreRows tells whether s may let rows count that o refuses.
func (s Settings) TakesMoreRows(o Settings) bool {
	return s.ImportVulnerabilities && !o.ImportVulnerabilities || s.MinSeverity < o.MinSeverity ||
		o.ExcludeUserInteraction && !s.ExcludeUserInteraction ||
		slices.Index(unknownVectorPolicies, s.UnknownVector) > slices.Index(unknownVectorPolicies, o.UnknownVector) ||
		slices.ContainsFunc(s.AttackVectors, func(v AttackVector) bool { return !slices.Contains(o.AttackVectors, v) })
}

func noneAsNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
