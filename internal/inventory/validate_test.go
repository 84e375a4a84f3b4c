package inventory

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestValidateSettings(t *testing.T) {
	t.Parallel()
	prefixes := func(n int) []netip.Prefix {
		return slices.Repeat([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, n)
	}
	tests := []struct {
		name   string
		change func(*Settings)
		want   []string // pointer and code
	}{
		{"defaults", func(*Settings) {}, nil},
		{"least age", func(s *Settings) { s.MaxAgeDays = 1 }, nil},
		{"greatest age", func(s *Settings) { s.MaxAgeDays = 180 }, nil},
		{"no age", func(s *Settings) { s.MaxAgeDays = 0 }, []string{"/max_age_days too_small"}},
		{"too old", func(s *Settings) { s.MaxAgeDays = 181 }, []string{"/max_age_days too_large"}},
		{"unknown severity", func(s *Settings) { s.MinSeverity = SeverityUnknown }, []string{"/min_severity not_allowed"}},
		{"no severity", func(s *Settings) { s.MinSeverity = 9 }, []string{"/min_severity not_allowed"}},
		{"no policy", func(s *Settings) { s.UnknownVector = "" }, []string{"/unknown_vector not_allowed"}},
		{"every vector", func(s *Settings) {
			s.AttackVectors = []AttackVector{VectorNetwork, VectorAdjacent, VectorLocal, VectorPhysical}
		}, nil},
		{"no vector", func(s *Settings) { s.AttackVectors = nil }, []string{"/attack_vectors too_few"}},
		{"odd vectors", func(s *Settings) {
			s.AttackVectors = []AttackVector{VectorNetwork, VectorUnknown, VectorNetwork, 9, -1}
		},
			[]string{"/attack_vectors/1 not_allowed", "/attack_vectors/2 repeated", "/attack_vectors/3 not_allowed", "/attack_vectors/4 not_allowed"}},
		{"labels", func(s *Settings) {
			s.DeviceGroups, s.TagsInclude, s.TagsExclude = []string{"Groß", "\u00a0", "\u2028"}, []string{strings.Repeat("ß", 200)}, []string{"a b"}
		}, nil},
		{"odd labels", func(s *Settings) {
			s.DeviceGroups, s.TagsInclude, s.TagsExclude = []string{"ok", " "}, []string{strings.Repeat("ß", 201)}, []string{"a\x00", "\xff"}
		}, []string{"/device_groups/1 too_short", "/tags_include/0 too_long", "/tags_exclude/0 invalid_format", "/tags_exclude/1 invalid_format"}},
		{"many labels", func(s *Settings) { s.TagsExclude = slices.Repeat([]string{"x"}, 51) }, []string{"/tags_exclude too_many"}},
		{"prefixes", func(s *Settings) { s.IPDeny = prefixes(100) }, nil},
		{"many prefixes", func(s *Settings) { s.IPDeny = prefixes(101) }, []string{"/ip_deny too_many"}},
		{"odd prefixes", func(s *Settings) {
			s.IPDeny = []netip.Prefix{netip.MustParsePrefix("fd00::/8"), {}, netip.MustParsePrefix("::ffff:10.0.0.0/104")}
		}, []string{"/ip_deny/1 invalid_format", "/ip_deny/2 invalid_format"}},
		{"nothing to import is the caller's", func(s *Settings) { s.ImportAssets, s.ImportVulnerabilities = false, false }, nil},
		{"several", func(s *Settings) { s.MaxAgeDays, s.UnknownVector = -1, "maybe" }, []string{"/unknown_vector not_allowed", "/max_age_days too_small"}},
	}
	for _, tt := range tests {
		s := DefaultSettings()
		tt.change(&s)
		var got []string
		for _, f := range s.Validate() {
			got = append(got, f.Pointer+" "+f.Code)
			if f.Detail == "" {
				t.Errorf("%s: %s has no detail", tt.name, f.Pointer)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
		if s.ImportsNothing() != (!s.ImportAssets && !s.ImportVulnerabilities) {
			t.Errorf("%s: imports nothing: %v", tt.name, s.ImportsNothing())
		}
	}
}
