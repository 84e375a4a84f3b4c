package inventory

import (
	"net/netip"
	"reflect"
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

func noneAsNil[T any](list []T) []T {
	if len(list) == 0 {
		return nil
	}
	return list
}
