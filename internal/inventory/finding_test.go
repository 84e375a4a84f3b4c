package inventory

import (
	"math"
	"testing"
)

func TestParseVector(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		vector string
		av     AttackVector
		ui     bool
	}{
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:C", VectorNetwork, false},
		{"AV:N/AC:L/Au:N/C:P/I:P/A:P", VectorNetwork, false},
		{"CVSS:4.0/AV:N/AT:N/AC:H/PR:N/UI:N/VC:N/MAV:X", VectorNetwork, false},
		{"CVSS:3.0/AV:A/AC:L", VectorAdjacent, false},
		{"CVSS:3.1/AV:L/AC:L/MAV:N", VectorLocal, false},
		{"(AV:L/AC:L/Au:N)", VectorLocal, false},
		{"CVSS:3.1/AV:P/AC:L", VectorPhysical, false},
		{"cvss:3.1/av:n/ui:r", VectorNetwork, true},
		{" CVSS:3.1 / AV : N / UI : R ", VectorNetwork, true},
		{"CVSS:3.1/AV:N/UI:R", VectorNetwork, true},
		{"CVSS:4.0/AV:N/UI:P", VectorNetwork, true},
		{"CVSS:4.0/AV:A/UI:A", VectorAdjacent, true},
		{"CVSS:3.1/AV:N/UI:N/MUI:R", VectorNetwork, false},
		{"CVSS:3.1/AV:N/UI:N/UI:R", VectorNetwork, false},
		{"", VectorUnknown, false},
		{"n/a", VectorUnknown, false},
		{"CVSS:3.1/AC:L/PR:N", VectorUnknown, false},
		{"CVSS:3.1/AV:X/AC:L", VectorUnknown, false},
		{"CVSS:3.1/AV:N/AV:N", VectorUnknown, false},
		{"CVSS:3.1/AV:N/AV:L", VectorUnknown, false},
		{"CVSS:3.1/MAV:N", VectorUnknown, false},
		{"AV:NETWORK", VectorUnknown, false},
		{"AV:N:L", VectorUnknown, false},
		{"AV", VectorUnknown, false},
		{"XAV:N", VectorUnknown, false},
	} {
		if av, ui := ParseVector(tt.vector); av != tt.av || ui != tt.ui {
			t.Errorf("ParseVector(%q) = %v, %v; want %v, %v", tt.vector, av, ui, tt.av, tt.ui)
		}
	}
}

func FuzzParseVector(f *testing.F) {
	for _, seed := range []string{"CVSS:3.1/AV:N/UI:R", "(AV:L/AC:L/Au:N)", "", "//::", "AV:N/AV:N", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, vector string) {
		av, _ := ParseVector(vector)
		if av.String() == "" {
			t.Fatalf("%q: vector %d", vector, av)
		}
		if av != VectorUnknown {
			if again, _ := ParseVector(vector + "/AV:N"); again != VectorUnknown && vector[len(vector)-1] != ')' {
				t.Fatalf("%q with a second AV is %v", vector, again)
			}
		}
	})
}

func TestTraitsOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		v    Vulnerability
		want Traits
	}{
		{"all told", Vulnerability{SeverityWord: "high", Score: 7.5, Vector: "CVSS:3.1/AV:L/UI:R", PublicExploit: true, ExploitTypes: []string{"Remote"}},
			Traits{7.5, SeverityHigh, true, SeverityHigh, VectorLocal, true, true, false}},
		{"nothing told", Vulnerability{Score: -1}, Traits{Score: -1}},
		{"odd word", Vulnerability{SeverityWord: "Important", Score: 9}, Traits{Score: 9, HasWord: true, Derived: SeverityCritical}},
		{"no number", Vulnerability{Score: math.NaN()}, Traits{Score: -1}},
		{"beyond the scale", Vulnerability{Score: 11}, Traits{Score: -1}},
		{"verified", Vulnerability{ExploitVerified: true}, Traits{Exploit: true}},
		{"in a kit", Vulnerability{ExploitInKit: true}, Traits{Exploit: true}},
		{"partial", Vulnerability{Partial: true, SeverityWord: "High", Score: 9, PublicExploit: true}, PartialTraits()},
		{"remote", Vulnerability{ExploitTypes: []string{"Local", "remote"}}, Traits{Vector: VectorNetwork}},
		{"local", Vulnerability{ExploitTypes: []string{"", "Local"}}, Traits{Vector: VectorLocal}},
		{"privileges", Vulnerability{ExploitTypes: []string{"PrivilegeEscalation", "Local"}}, Traits{Vector: VectorLocal}},
		{"local and more", Vulnerability{ExploitTypes: []string{"Local", "Dos"}}, Traits{}},
		{"denial of service", Vulnerability{ExploitTypes: []string{"Dos"}}, Traits{}},
		{"part of a word", Vulnerability{ExploitTypes: []string{"NotRemote"}}, Traits{}},
	} {
		if got := TraitsOf(&tt.v); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestRowSeverity(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		v      Vulnerability
		row    Row
		want   Severity
		source SeveritySource
	}{
		{"own word", Vulnerability{SeverityWord: "Low", Score: 9.8}, Row{SeverityWord: "Critical", Score: 9}, SeverityLow, FromVulnerable},
		{"own odd word", Vulnerability{SeverityWord: "Important", Score: 9.8}, Row{SeverityWord: "Critical", Score: 9}, SeverityUnknown, FromVulnerable},
		{"row's word", Vulnerability{SeverityWord: " ", Score: 9.8}, Row{SeverityWord: "medium", Score: 9}, SeverityMedium, FromRow},
		{"own score", Vulnerability{Score: 9}, Row{Score: 1}, SeverityCritical, FromScore},
		{"own score", Vulnerability{Score: 8.9}, Row{Score: -1}, SeverityHigh, FromScore},
		{"own score", Vulnerability{Score: 7}, Row{Score: -1}, SeverityHigh, FromScore},
		{"own score", Vulnerability{Score: 6.9}, Row{Score: -1}, SeverityMedium, FromScore},
		{"own score", Vulnerability{Score: 4}, Row{Score: -1}, SeverityMedium, FromScore},
		{"own score", Vulnerability{Score: 3.9}, Row{Score: -1}, SeverityLow, FromScore},
		{"own score", Vulnerability{Score: 0.05}, Row{Score: -1}, SeverityLow, FromScore},
		{"row's score", Vulnerability{Score: 0}, Row{Score: 7.1}, SeverityHigh, FromRowScore},
		{"row's score", Vulnerability{Score: -1}, Row{Score: 10}, SeverityCritical, FromRowScore},
		{"row's score", Vulnerability{Partial: true, SeverityWord: "Low"}, Row{Score: 10}, SeverityCritical, FromRowScore},
		{"nothing", Vulnerability{Score: -1}, Row{Score: -1}, SeverityUnknown, FromNothing},
		{"no number", Vulnerability{Score: math.NaN()}, Row{Score: math.Inf(1)}, SeverityUnknown, FromNothing},
	} {
		tt.v.Vector = "AV:N"
		s := DefaultSettings()
		s.UnknownVector = UnknownInclude
		got, reason := NewJudge(s, now).Row(TraitsOf(&tt.v), &tt.row)
		if got.Severity != tt.want || got.Source != tt.source || reason != Accepted {
			t.Errorf("%s: %v from %v, %q; want %v from %v", tt.name, got.Severity, got.Source, reason, tt.want, tt.source)
		}
	}
}

func TestRowRules(t *testing.T) {
	t.Parallel()
	const (
		network, adjacent = "CVSS:3.1/AV:N/UI:N", "CVSS:3.0/AV:A/UI:N"
		local, physical   = "(AV:L/AC:L/Au:N)", "CVSS:3.1/AV:P"
		browser           = "CVSS:3.1/AV:N/UI:R"
	)
	only := func(v ...AttackVector) func(*Settings) { return func(s *Settings) { s.AttackVectors = v } }
	unknown := func(p UnknownVectorPolicy) func(*Settings) { return func(s *Settings) { s.UnknownVector = p } }
	least := func(sev Severity) func(*Settings) { return func(s *Settings) { s.MinSeverity = sev } }
	noUsers := func(s *Settings) { s.ExcludeUserInteraction = true }
	tests := []struct {
		name     string
		v        Vulnerability
		row      Row
		settings func(*Settings)
		want     Reason
	}{
		{"network", Vulnerability{Vector: network}, Row{}, nil, Accepted},
		{"adjacent", Vulnerability{Vector: adjacent}, Row{}, nil, Accepted},
		{"local", Vulnerability{Vector: local}, Row{}, nil, VectorIsLocal},
		{"physical", Vulnerability{Vector: physical}, Row{}, nil, VectorIsPhysical},
		{"adjacent, not selected", Vulnerability{Vector: adjacent}, Row{}, only(VectorNetwork), VectorNotSelected},
		{"network, not selected", Vulnerability{Vector: network}, Row{}, only(VectorAdjacent), VectorNotSelected},
		{"local, selected", Vulnerability{Vector: local}, Row{}, only(VectorLocal), Accepted},
		{"physical, selected", Vulnerability{Vector: physical}, Row{}, only(VectorPhysical), Accepted},

		{"unknown, excluded", Vulnerability{SeverityWord: "Critical", PublicExploit: true}, Row{}, unknown(UnknownExclude), VectorIsUnknown},
		{"unknown, included", Vulnerability{SeverityWord: "Low"}, Row{}, unknown(UnknownInclude), Accepted},
		{"unknown, critical", Vulnerability{SeverityWord: "Critical"}, Row{}, nil, Accepted},
		{"unknown, high", Vulnerability{SeverityWord: "High"}, Row{}, nil, Accepted},
		{"unknown, high by the row", Vulnerability{}, Row{SeverityWord: "High"}, nil, Accepted},
		{"unknown, high by the score", Vulnerability{Score: 7}, Row{}, nil, Accepted},
		{"unknown, medium", Vulnerability{SeverityWord: "Medium"}, Row{}, nil, VectorIsUnknown},
		{"unknown, medium, public exploit", Vulnerability{SeverityWord: "Medium", PublicExploit: true}, Row{}, nil, Accepted},
		{"unknown, medium, verified exploit", Vulnerability{SeverityWord: "Medium", ExploitVerified: true}, Row{}, nil, Accepted},
		{"unknown, medium, exploit in a kit", Vulnerability{SeverityWord: "Medium", ExploitInKit: true}, Row{}, nil, Accepted},
		{"unknown, medium, the row's exploit does not count", Vulnerability{SeverityWord: "Medium"}, Row{Exploitability: "ExploitIsPublic"}, nil, VectorIsUnknown},
		{"unknown, remote exploit", Vulnerability{SeverityWord: "Low", ExploitTypes: []string{"Remote"}}, Row{}, unknown(UnknownExclude), Accepted},
		{"unknown, local exploit", Vulnerability{SeverityWord: "Critical", ExploitTypes: []string{"Local", "PrivilegeEscalation"}}, Row{}, unknown(UnknownInclude), VectorIsLocal},
		{"unknown, denial of service", Vulnerability{SeverityWord: "Low", ExploitTypes: []string{"Dos"}}, Row{}, nil, VectorIsUnknown},
		{"partial, medium", Vulnerability{Partial: true}, Row{SeverityWord: "Medium", Exploitability: "NoExploit"}, nil, VectorIsUnknown},
		{"partial, medium, exploit", Vulnerability{Partial: true}, Row{SeverityWord: "Medium", Exploitability: "exploitispublic"}, nil, Accepted},
		{"partial, medium, verified", Vulnerability{Partial: true}, Row{SeverityWord: "Medium", Exploitability: "ExploitIsVerified"}, nil, Accepted},
		{"partial, medium, kit", Vulnerability{Partial: true}, Row{SeverityWord: "Medium", Exploitability: "ExploitIsInKit"}, nil, Accepted},
		{"partial, medium, odd level", Vulnerability{Partial: true}, Row{SeverityWord: "Medium", Exploitability: "Maybe"}, nil, VectorIsUnknown},
		{"partial, high", Vulnerability{Partial: true}, Row{SeverityWord: "High"}, nil, Accepted},

		{"browser bug", Vulnerability{Vector: browser}, Row{}, nil, Accepted},
		{"browser bug, excluded", Vulnerability{Vector: browser}, Row{}, noUsers, UserInteractionOnly},
		{"server bug, browser bugs excluded", Vulnerability{Vector: network}, Row{}, noUsers, Accepted},
		{"vector before interaction", Vulnerability{Vector: "AV:L/UI:R"}, Row{}, noUsers, VectorIsLocal},

		{"low of low", Vulnerability{Vector: network, SeverityWord: "Low"}, Row{}, least(SeverityLow), Accepted},
		{"unknown of low", Vulnerability{Vector: network}, Row{}, least(SeverityLow), Accepted},
		{"unknown of medium", Vulnerability{Vector: network}, Row{}, least(SeverityMedium), SeverityBelowMin},
		{"low of medium", Vulnerability{Vector: network, SeverityWord: "Low"}, Row{}, least(SeverityMedium), SeverityBelowMin},
		{"medium of medium", Vulnerability{Vector: network, SeverityWord: "Medium"}, Row{}, least(SeverityMedium), Accepted},
		{"high of critical", Vulnerability{Vector: network, SeverityWord: "High"}, Row{}, least(SeverityCritical), SeverityBelowMin},
		{"critical of critical", Vulnerability{Vector: network, SeverityWord: "Critical"}, Row{}, least(SeverityCritical), Accepted},
		{"critical by the row's score", Vulnerability{Vector: network}, Row{Score: 9.8}, least(SeverityCritical), Accepted},
		{"low by the row's score", Vulnerability{Vector: network}, Row{Score: 0.1}, least(SeverityMedium), SeverityBelowMin},
		{"odd word of the row", Vulnerability{Vector: network, Score: 9}, Row{SeverityWord: "Grave"}, least(SeverityMedium), SeverityBelowMin},
		{"vector before severity", Vulnerability{Vector: local, SeverityWord: "Low"}, Row{}, least(SeverityCritical), VectorIsLocal},
		{"interaction before severity", Vulnerability{Vector: browser, SeverityWord: "Low"}, Row{},
			func(s *Settings) { noUsers(s); least(SeverityHigh)(s) }, UserInteractionOnly},
	}
	for _, tt := range tests {
		s := DefaultSettings()
		if tt.settings != nil {
			tt.settings(&s)
		}
		traits := TraitsOf(&tt.v)
		judge := NewJudge(s, now)
		verdict, reason := judge.Row(traits, &tt.row)
		if reason != tt.want || verdict.Vector != traits.Vector {
			t.Errorf("%s: %q, vector %v; want %q, %v", tt.name, reason, verdict.Vector, tt.want, traits.Vector)
		}
		if stored := judge.Finding(traits, verdict.Severity, verdict.Source, tt.row.Exploitability); stored != tt.want {
			t.Errorf("%s: %q by what is stored, want %q", tt.name, stored, tt.want)
		}
		if code := RowReasonCode(reason); RowReasonOf(code) != reason {
			t.Errorf("%s: reason %q does not survive storage", tt.name, reason)
		}
	}
}

func TestRowDoesNotAllocate(t *testing.T) {
	j := NewJudge(DefaultSettings(), now)
	known := TraitsOf(&Vulnerability{Vector: "CVSS:3.1/AV:N/UI:R", SeverityWord: "High", Score: 8})
	rows := benchmarkRows()
	var sink Reason
	if n := testing.AllocsPerRun(100, func() {
		for i := range rows {
			_, sink = j.Row(known, &rows[i])
			_, sink = j.Row(PartialTraits(), &rows[i])
		}
	}); n != 0 {
		t.Errorf("%v allocations, last reason %q", n, sink)
	}
}

func benchmarkRows() []Row {
	return []Row{
		{SeverityWord: "Critical", Score: 9.8, Exploitability: "ExploitIsVerified"}, {SeverityWord: "medium", Score: 5, Exploitability: "NoExploit"},
		{Score: 3.1}, {SeverityWord: "Important", Exploitability: "ExploitIsInKit"},
	}
}

func BenchmarkRow(b *testing.B) {
	j := NewJudge(DefaultSettings(), now)
	rows := benchmarkRows()
	for name, traits := range map[string]Traits{
		"catalogued": TraitsOf(&Vulnerability{Vector: "CVSS:3.1/AV:N/UI:R", SeverityWord: "High", Score: 8}), "partial": PartialTraits(),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				j.Row(traits, &rows[i%len(rows)])
			}
		})
	}
}
