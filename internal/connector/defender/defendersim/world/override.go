package world

import (
	"strings"
	"time"
)

// override holds what changes said about one machine; nil and "" mean nothing was said.
type override struct {
	excluded *bool
	merged   string // survivor's id
	unmerged bool
	daysAgo  *int
	touched  time.Time // when daysAgo was said
	hostname string
	ip       string

	offboarded bool
	group      *int
}

// machine composes the current record at a position.
func (s *State) machine(pos int) Machine {
	if !s.listed(pos) {
		return s.w.stranger(pos - s.w.Len())
	}
	m := s.base(pos)
	m.later(s.day)
	o, ok := s.over[pos]
	if !ok {
		return m
	}
	if o.excluded != nil {
		m.Excluded, m.ExclusionReason = *o.excluded, Null
		if *o.excluded {
			m.ExclusionReason = "OutOfScope"
		}
	}
	if o.merged != "" {
		m.MergedInto = o.merged
	} else if o.unmerged {
		m.MergedInto = Null
	}
	o.describe(&m)
	if o.daysAgo != nil {
		m.later(s.day - s.w.dayOf(o.touched))
	}
	m.Want.Skip = o.outcome(m.Want.Skip)
	return m
}

func (o *override) describe(m *Machine) {
	if o.daysAgo != nil {
		m.setLastSeen(o.touched.AddDate(0, 0, -*o.daysAgo), 7)
		m.Health = "Active"
		if *o.daysAgo > 7 {
			m.Health = "Inactive"
		}
	}
	if o.hostname != "" {
		kind := "short"
		if strings.Contains(o.hostname, ".") {
			kind = "fqdn"
		}
		m.named(o.hostname, kind)
	}
	if o.ip != "" {
		m.addressed(o.ip)
	}
	if o.offboarded {
		m.Onboarding = "CanBeOnboarded"
	}
	if o.group != nil {
		m.Group, m.GroupName = *o.group, groupNames[*o.group]
	}
}

// outcome relabels a machine: of the intents that apply, the one an importer tests first.
func (o *override) outcome(base string) string {
	switch {
	case base == duplicate:
		return duplicate
	case o.merged != "", base == merged && !o.unmerged:
		return merged
	case o.excluded != nil && *o.excluded, base == excluded && o.excluded == nil:
		return excluded
	case o.offboarded, base == "not_onboarded":
		return "not_onboarded"
	case base == "wsl_instance", strings.HasPrefix(base, "platform_"):
		return base
	case o.daysAgo != nil && *o.daysAgo > 30, base == stale && o.daysAgo == nil:
		return stale
	case strings.HasPrefix(base, "name_") && o.hostname == "", base == "ip_none" && o.ip == "":
		return base
	}
	return ""
}
