package inventory

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// laptop is a machine that passes every rule.
func laptop() Machine {
	return Machine{
		SourceID: "00AA11BB22CC33DD44EE55FF66AA77BB88CC99DD", DNSName: "Build-07.Contoso.com.", Platform: "Windows11", Version: "24H2", Build: 26100,
		Architecture: "64-bit", Processor: "x64", LastIP: "10.20.30.40", LastExternalIP: "203.0.113.7", Onboarding: "Onboarded", Health: "Active",
		Interfaces: []Interface{{"10.20.30.40", "02AABBCCDDEE", "Ethernet", "Up"}},
		FirstSeen:  now.Add(-1000 * time.Hour), LastSeen: now.Add(-time.Hour),
		GroupID: 7, GroupName: "Build servers", Tags: []string{"prod", "", "prod", " blue "}, RiskScore: "None",
	}
}

func TestMachineRules(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	tests := []struct {
		name     string
		change   func(*Machine)
		settings func(*Settings)
		reason   Reason
		detail   string
	}{
		{"accepted", func(*Machine) {}, nil, Accepted, ""},
		{"no id", func(m *Machine) { m.SourceID = " \t" }, nil, IDMissing, ` \u0009`},
		{"unusable id", func(m *Machine) { m.SourceID = "a\x00b" }, nil, IDMissing, `a\u0000b`},
		{"merged", func(m *Machine) { m.MergedInto = "ff00" }, nil, Merged, "ff00"},
		{"merged into itself", func(m *Machine) { m.MergedInto = m.SourceID }, nil, Merged, laptop().SourceID},
		{"excluded", func(m *Machine) { m.Excluded, m.ExclusionReason = true, "OutOfScope" }, nil, Excluded, "OutOfScope"},
		{"not onboarded", func(m *Machine) { m.Onboarding = "CanBeOnboarded" }, nil, NotOnboarded, "CanBeOnboarded"},
		{"not onboarded, empty platform", func(m *Machine) { m.Onboarding, m.Platform = "CanBeOnboarded", "" }, nil, NotOnboarded, "CanBeOnboarded"},
		{"not onboarded, wanted", func(m *Machine) { m.Onboarding = "CanBeOnboarded" }, func(s *Settings) { s.IncludeDiscovered = true }, Accepted, ""},
		{"not onboarded, wanted, odd platform", func(m *Machine) { m.Onboarding, m.Platform = "CanBeOnboarded", "Printer" }, func(s *Settings) { s.IncludeDiscovered = true }, PlatformOdd, "Printer"},
		{"onboarding absent", func(m *Machine) { m.Onboarding = "" }, nil, Accepted, ""},
		{"onboarding in lower case", func(m *Machine) { m.Onboarding = "onboarded" }, nil, Accepted, ""},
		{"phone", func(m *Machine) { m.Platform = "iOS" }, nil, PlatformMobile, "iOS"},
		{"television", func(m *Machine) { m.Platform = "tvOS" }, nil, PlatformIoT, "tvOS"},
		{"WSL", func(m *Machine) { m.Platform, m.Tags = "Linux", []string{"Wsl2"} }, nil, WSLInstance, laptop().DNSName},
		{"WSL by name", func(m *Machine) { m.Platform, m.DNSName = "Ubuntu", "PC_WSL2" }, nil, WSLInstance, "PC_WSL2"},
		{"seen as long ago as allowed", func(m *Machine) { m.LastSeen = now.Add(-30 * day) }, nil, Accepted, ""},
		{"seen longer ago", func(m *Machine) { m.LastSeen = now.Add(-30*day - time.Second) }, nil, Stale, "2026-08-02T11:59:59Z"},
		{"seen longer ago, allowed", func(m *Machine) { m.LastSeen = now.Add(-179 * day) }, func(s *Settings) { s.MaxAgeDays = 180 }, Accepted, ""},
		{"seen at an unknown time", func(m *Machine) { m.LastSeen = time.Time{} }, nil, Accepted, ""},
		{"seen in the year 1", func(m *Machine) { m.LastSeen = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC) }, nil, Accepted, ""},
		{"seen in the future", func(m *Machine) { m.LastSeen = now.Add(day) }, nil, Accepted, ""},
		{"in the group", func(*Machine) {}, func(s *Settings) { s.DeviceGroups = []string{"x", " build SERVERS "} }, Accepted, ""},
		{"in another group", func(*Machine) {}, func(s *Settings) { s.DeviceGroups = []string{"x"} }, GroupFiltered, "Build servers"},
		{"in no group", func(m *Machine) { m.GroupName = "" }, func(s *Settings) { s.DeviceGroups = []string{"x"} }, GroupFiltered, ""},
		{"has a tag to include", func(*Machine) {}, func(s *Settings) { s.TagsInclude = []string{"x", "BLUE"} }, Accepted, ""},
		{"has no tag to include", func(*Machine) {}, func(s *Settings) { s.TagsInclude = []string{"x"} }, TagFiltered, "none of the tags to include"},
		{"has a tag to exclude", func(*Machine) {}, func(s *Settings) { s.TagsExclude, s.TagsInclude = []string{"Blue"}, []string{"prod"} }, TagFiltered, " blue "},
		{"has no tag to exclude", func(*Machine) {}, func(s *Settings) { s.TagsExclude = []string{"x"} }, Accepted, ""},
		{"no name", func(m *Machine) { m.DNSName = "" }, nil, NameMissing, ""},
		{"bad name", func(m *Machine) { m.DNSName = "John’s\nMac" }, nil, NameSyntax, `John’s\u000aMac`},
		{"short name", func(m *Machine) { m.DNSName = "web01" }, func(s *Settings) { s.RequireFQDN = true }, NameNotFQDN, "web01"},
		{"no address", func(m *Machine) { m.LastIP, m.Interfaces = "", nil }, nil, IPNone, "no address reported"},
		{"bad address", func(m *Machine) { m.LastIP, m.Interfaces = "169.254.1.1", nil }, nil, IPNone, "ip_link_local: 169.254.1.1"},
		{"potential duplicate", func(m *Machine) { m.PotentialDuplicate = true }, nil, Accepted, ""},
	}
	for _, tt := range tests {
		m, s := laptop(), DefaultSettings()
		tt.change(&m)
		if tt.settings != nil {
			tt.settings(&s)
		}
		a, reason, detail := NewJudge(s, now).Machine(&m)
		if reason != tt.reason || detail != tt.detail {
			t.Errorf("%s: %q, %q; want %q, %q", tt.name, reason, detail, tt.reason, tt.detail)
		}
		if accepted := a.Hostname != ""; accepted != (reason == Accepted) {
			t.Errorf("%s: asset %+v with reason %q", tt.name, a, reason)
		}
		if a.PotentialDup != (reason == Accepted && m.PotentialDuplicate) {
			t.Errorf("%s: potential duplicate %v", tt.name, a.PotentialDup)
		}
	}
}

// Everything is wrong with the machine at first; mending one thing at a time shows the order of the rules.
func TestMachineRulesAreAskedInOrder(t *testing.T) {
	t.Parallel()
	m := Machine{MergedInto: "ff", Excluded: true, Onboarding: "Unsupported", Platform: "Android", Tags: []string{"WSL2", "no"}, LastSeen: now.AddDate(-1, 0, 0)}
	s := DefaultSettings()
	s.DeviceGroups, s.TagsExclude = []string{"servers"}, []string{"no"}
	steps := []struct {
		reason Reason
		mend   func()
	}{
		{IDMissing, func() { m.SourceID = "aa" }},
		{Merged, func() { m.MergedInto = "" }},
		{Excluded, func() { m.Excluded = false }},
		{NotOnboarded, func() { m.Onboarding = "Onboarded" }},
		{PlatformMobile, func() { m.Platform = "Linux" }},
		{WSLInstance, func() { m.Tags = m.Tags[1:] }},
		{GroupFiltered, func() { m.GroupName = "Servers" }},
		{TagFiltered, func() { m.Tags = nil }},
		{NameMissing, func() { m.DNSName = "web01" }},
		{IPNone, func() { m.LastIP = "10.0.0.1" }},
		{Stale, func() { m.LastSeen = now }},
		{Accepted, nil},
	}
	for _, step := range steps {
		if _, reason, _ := NewJudge(s, now).Machine(&m); reason != step.reason {
			t.Fatalf("%q, want %q", reason, step.reason)
		}
		if step.mend != nil {
			step.mend()
		}
	}
}

func TestMachineBecomesAsset(t *testing.T) {
	t.Parallel()
	m := laptop()
	joined := true
	m.AADJoined, m.AADDeviceID, m.AgentVersion, m.ManagedBy, m.ManagedByStatus = &joined, "3333", "10.8800", "Intune", "Success"
	m.ExposureLevel, m.DeviceValue = "Medium", "High"
	m.Cloud = &Cloud{Provider: "Azure", ResourceID: "/subscriptions/1/vm", Account: "1", VMID: "2"}
	got, reason, _ := NewJudge(DefaultSettings(), now).Machine(&m)
	want := Asset{
		SourceID: "00aa11bb22cc33dd44ee55ff66aa77bb88cc99dd", Hostname: "build-07.contoso.com", HostnameRaw: "Build-07.Contoso.com.", NameKind: FQDN,
		PrimaryIP: netip.MustParseAddr("10.20.30.40"),
		Addresses: []Address{{netip.MustParseAddr("10.20.30.40"), "02:aa:bb:cc:dd:ee", ScopePrivate, "ethernet", true}},
		EgressIP:  netip.MustParseAddr("203.0.113.7"),
		OS:        OS{Platform: "Windows11", Family: FamilyWindows, Version: "24H2", Build: 26100, Architecture: "64-bit", Processor: "x64"},
		Health:    "Active", Onboarding: "Onboarded", RiskScore: "None", ExposureLevel: "Medium", DeviceValue: "High",
		GroupID: 7, GroupName: "Build servers", Tags: []string{"prod", "blue"}, AADDeviceID: "3333", AADJoined: &joined, AgentVersion: "10.8800",
		ManagedBy: "Intune", ManagedByStatus: "Success", Cloud: m.Cloud, FirstSeen: m.FirstSeen, LastSeen: m.LastSeen, State: AssetActive, Import: Imported,
	}
	if reason != Accepted || !reflect.DeepEqual(got, want) {
		t.Errorf("reason %q\ngot  %+v\nwant %+v", reason, got, want)
	}
}

func TestAssetState(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	for _, tt := range []struct {
		health string
		seen   time.Time
		want   AssetState
	}{
		{"Active", now.Add(-7 * day), AssetActive},
		{"active", now, AssetActive},
		{"Active", now.Add(-7*day - time.Second), AssetInactive},
		{"Active", time.Time{}, AssetInactive},
		{"Active", now.Add(time.Hour), AssetActive},
		{"Inactive", now, AssetInactive},
		{"NoSensorData", now, AssetInactive},
		{"", now, AssetInactive},
	} {
		m := laptop()
		m.Health, m.LastSeen = tt.health, tt.seen
		if a, _, _ := NewJudge(DefaultSettings(), now).Machine(&m); a.State != tt.want {
			t.Errorf("health %q, seen %v: %q, want %q", tt.health, tt.seen, a.State, tt.want)
		}
	}
}

func TestAssetIsFitForStorage(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("ä", 1<<20)
	m := laptop()
	m.Platform, m.Version, m.GroupName, m.Health, m.ManagedBy = "Linux\x00"+huge, huge, "a\x00b\xffc", huge, "  x "
	m.Tags = []string{huge}
	for range 1000 {
		m.Tags = append(m.Tags, "tag"+strings.Repeat("x", len(m.Tags)%300))
	}
	m.Cloud = &Cloud{ResourceID: huge}
	m.FirstSeen = time.Date(20000, 1, 1, 0, 0, 0, 0, time.UTC)
	m.Build = -6
	a, reason, detail := NewJudge(DefaultSettings(), now).Machine(&m)
	if reason != Accepted {
		t.Fatalf("%q, %q", reason, detail)
	}
	if a.GroupName != "ab\uFFFDc" || a.ManagedBy != "x" || !a.FirstSeen.IsZero() || a.OS.Build != 0 {
		t.Errorf("group %q, managed by %q, first seen %v, build %d", a.GroupName, a.ManagedBy, a.FirstSeen, a.OS.Build)
	}
	texts := map[string]int{a.OS.Platform: maxWord, a.OS.Version: maxWord, a.Health: maxWord, a.Cloud.ResourceID: maxPath, a.Tags[0]: maxName}
	for text, limit := range texts {
		if n := utf8.RuneCountInString(text); n > limit || !utf8.ValidString(text) || strings.Contains(text, "\x00") {
			t.Errorf("%.20q…: %d characters, at most %d", text, n, limit)
		}
	}
	if len(a.Tags) != maxTags || !reflect.DeepEqual(a.Warnings, []string{TextCut}) {
		t.Errorf("%d tags, warnings %q", len(a.Tags), a.Warnings)
	}
}

func TestUnrecognisedPlatformIsAcceptedWithWarning(t *testing.T) {
	t.Parallel()
	m := laptop()
	m.Platform = "NewDistro2027"
	a, reason, _ := NewJudge(DefaultSettings(), now).Machine(&m)
	if reason != Accepted || a.OS.Family != FamilyOther || !reflect.DeepEqual(a.Warnings, []string{PlatformUnrecognised}) {
		t.Errorf("%q, %q, %q", reason, a.OS.Family, a.Warnings)
	}
}

func TestSample(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"": "", "plain": "plain", "a\x00b\nc": `a\u0000b\u000ac`, "\xffx": `\xffx`, "\uFFFD": "\uFFFD", "a\u202eb": `a\u202eb`, "ünï": "ünï",
		strings.Repeat("x", 100): strings.Repeat("x", 100), strings.Repeat("x", 101): strings.Repeat("x", 99) + "…",
		strings.Repeat("é", 1<<20):           strings.Repeat("é", 99) + "…",
		strings.Repeat("x", 96) + "\xff\xff": strings.Repeat("x", 96) + "…", strings.Repeat("x", 96) + "\xff": strings.Repeat("x", 96) + `\xff`,
	} {
		if got := sample(value); got != want {
			t.Errorf("sample(%.40q) = %q, want %q", value, got, want)
		}
	}
}

func FuzzSample(f *testing.F) {
	for _, seed := range []string{"plain", "a\x00b", "\xff\xfe", strings.Repeat("\n", 60), strings.Repeat("x", 99) + "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got := sample(value)
		if utf8.RuneCountInString(got) > maxDetail || !utf8.ValidString(got) || strings.ContainsAny(got, "\x00\n\r\u202e") {
			t.Fatalf("sample(%q) = %q", value, got)
		}
	})
}

func TestCanonicalID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{" AA0b\n": "aa0b", "aa0b": "aa0b", "": "", "  ": ""} {
		if got := CanonicalID(id); got != want {
			t.Errorf("CanonicalID(%q) = %q, want %q", id, got, want)
		}
	}
}
