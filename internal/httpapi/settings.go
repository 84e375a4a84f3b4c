package httpapi

import (
	"net/netip"
	"strconv"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// overlay puts what was given over what is there. Words were checked by their validate tags already.
func overlay(base inventory.Settings, in *api.SettingsInput) (inventory.Settings, error) {
	if in == nil {
		return base, nil
	}
	put(&base.ImportAssets, in.ImportAssets)
	put(&base.ImportVulnerabilities, in.ImportVulnerabilities)
	put(&base.ExcludeUserInteraction, in.ExcludeUserInteraction)
	put(&base.MaxAgeDays, in.MaxAgeDays)
	put(&base.RequireFQDN, in.RequireFQDN)
	put(&base.AllowUnderscore, in.AllowUnderscore)
	put(&base.IncludeDiscovered, in.IncludeDiscovered)
	putList(&base.DeviceGroups, in.DeviceGroups)
	putList(&base.TagsInclude, in.TagsInclude)
	putList(&base.TagsExclude, in.TagsExclude)
	if in.MinSeverity != nil {
		base.MinSeverity, _ = severities.parse(string(*in.MinSeverity))
	}
	if in.UnknownVector != nil {
		base.UnknownVector = inventory.UnknownVectorPolicy(*in.UnknownVector)
	}
	if in.AttackVectors != nil {
		base.AttackVectors = each(in.AttackVectors, func(v *api.AttackVector) inventory.AttackVector {
			vector, _ := vectors.parse(string(*v))
			return vector
		})
	}
	if in.IPDeny == nil {
		return base, nil
	}
	denied, err := prefixes(in.IPDeny)
	base.IPDeny = denied
	return base, err
}

func put[T any](target, value *T) {
	if value != nil {
		*target = *value
	}
}

func putList(target *[]string, values []string) {
	if values != nil {
		*target = values
	}
}

// prefixes reads addresses and prefixes; an address is the prefix of itself alone.
func prefixes(texts []string) ([]netip.Prefix, error) {
	out := make([]netip.Prefix, 0, len(texts))
	for i, text := range texts {
		p, err := netip.ParsePrefix(text)
		if a, errAddr := netip.ParseAddr(text); errAddr == nil && a.Zone() == "" {
			p, err = netip.PrefixFrom(a, a.BitLen()), nil
		}
		if err != nil {
			return nil, invalid(fault.Field{
				Pointer: "/settings/ip_deny/" + strconv.Itoa(i), Code: "invalid_format", Detail: "Must be an address or a prefix such as 172.30.0.0/16",
			})
		}
		out = append(out, p.Masked())
	}
	return out, nil
}

func settings(s *inventory.Settings) api.Settings {
	return api.Settings{
		ImportAssets: s.ImportAssets, ImportVulnerabilities: s.ImportVulnerabilities,
		MinSeverity: api.Severity(wordFor(severities, s.MinSeverity)),
		AttackVectors: each(s.AttackVectors, func(v *inventory.AttackVector) api.AttackVector {
			return api.AttackVector(wordFor(vectors, *v))
		}),
		UnknownVector: api.UnknownVectorRule(s.UnknownVector), ExcludeUserInteraction: s.ExcludeUserInteraction,
		MaxAgeDays: s.MaxAgeDays, RequireFQDN: s.RequireFQDN, AllowUnderscore: s.AllowUnderscore, IncludeDiscovered: s.IncludeDiscovered,
		DeviceGroups: listed(s.DeviceGroups), TagsInclude: listed(s.TagsInclude), TagsExclude: listed(s.TagsExclude),
		IPDeny: each(s.IPDeny, func(p *netip.Prefix) string { return p.String() }),
	}
}
