package inventory

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"pgp.internal/defender/internal/fault"
)

// Limits of the settings.
const (
	MinAgeDays        = 1
	MaxAgeDays        = 180 // Defender keeps devices no longer by default
	MaxSettingsLabels = 50  // device groups and tags, each list
	MaxLabelLength    = 200 // characters
	MaxDeniedPrefixes = 100
)

// ImportsNothing reports whether both imports are off, which is a choice that has no effect and so is refused. It is
// apart from [Settings.Validate], because callers answer it with a code of its own.
func (s Settings) ImportsNothing() bool { return !s.ImportAssets && !s.ImportVulnerabilities }

// Validate lists what is wrong with the settings; pointers are relative to the settings object.
func (s Settings) Validate() []fault.Field {
	var p problems
	if s.MinSeverity < SeverityLow || s.MinSeverity > SeverityCritical {
		p.add("/min_severity", "not_allowed", "Must be low, medium, high or critical.")
	}
	switch s.UnknownVector {
	case UnknownInclude, UnknownExclude, UnknownIfSevere:
	default:
		p.add("/unknown_vector", "not_allowed", "Must be include, exclude or include_if_severe.")
	}
	switch {
	case s.MaxAgeDays < MinAgeDays:
		p.add("/max_age_days", "too_small", fmt.Sprintf("Must be at least %d.", MinAgeDays))
	case s.MaxAgeDays > MaxAgeDays:
		p.add("/max_age_days", "too_large", fmt.Sprintf("Must be at most %d.", MaxAgeDays))
	}
	p.vectors(s.AttackVectors)
	p.labels("/device_groups", s.DeviceGroups)
	p.labels("/tags_include", s.TagsInclude)
	p.labels("/tags_exclude", s.TagsExclude)
	p.prefixes(s.IPDeny)
	return p
}

type problems []fault.Field

func (p *problems) add(pointer, code, detail string) {
	*p = append(*p, fault.Field{Pointer: pointer, Code: code, Detail: detail})
}

func (p *problems) vectors(vectors []AttackVector) {
	if len(vectors) == 0 {
		p.add("/attack_vectors", "too_few", "Name at least one attack vector, or turn off the import of vulnerabilities.")
	}
	for i, v := range vectors {
		pointer := fmt.Sprintf("/attack_vectors/%d", i)
		switch {
		case v <= VectorUnknown || v >= vectorCount:
			p.add(pointer, "not_allowed", "Must be network, adjacent, local or physical; unknown_vector is a setting of its own.")
		case slices.Contains(vectors[:i], v):
			p.add(pointer, "repeated", "Named before.")
		}
	}
}

func (p *problems) labels(pointer string, labels []string) {
	if len(labels) > MaxSettingsLabels {
		p.add(pointer, "too_many", fmt.Sprintf("At most %d.", MaxSettingsLabels))
		return
	}
	for i, label := range labels {
		at := fmt.Sprintf("%s/%d", pointer, i)
		switch {
		case strings.Trim(label, " ") == "":
			p.add(at, "too_short", "Must not be blank.")
		case !utf8.ValidString(label) || strings.ContainsFunc(label, unicode.IsControl):
			p.add(at, "invalid_format", "Must not hold control characters.")
		case utf8.RuneCountInString(label) > MaxLabelLength:
			p.add(at, "too_long", fmt.Sprintf("At most %d characters.", MaxLabelLength))
		}
	}
}

func (p *problems) prefixes(deny []netip.Prefix) {
	if len(deny) > MaxDeniedPrefixes {
		p.add("/ip_deny", "too_many", fmt.Sprintf("At most %d.", MaxDeniedPrefixes))
		return
	}
	for i, prefix := range deny {
		// A mapped prefix would never match, because addresses are unmapped before they are compared.
		if !prefix.IsValid() || prefix.Addr().Is4In6() {
			p.add(fmt.Sprintf("/ip_deny/%d", i), "invalid_format", "Must be an IPv4 or IPv6 prefix such as 10.1.0.0/16.")
		}
	}
}
