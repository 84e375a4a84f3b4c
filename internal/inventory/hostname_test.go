package inventory

import (
	"strings"
	"testing"
)

var (
	label63  = strings.Repeat("a", 63)
	name253  = strings.Join([]string{label63, label63, label63, strings.Repeat("b", 61)}, ".")
	name255  = strings.Join([]string{label63, label63, label63, label63}, ".")
	longIDNA = strings.Repeat("ü", 60) + ".example"
)

func TestNormalizeHostname(t *testing.T) {
	t.Parallel()
	type result struct {
		name   string
		reason Reason
	}
	accepted := func(name string) result { return result{name: name} }
	refused := func(r Reason) result { return result{reason: r} }
	tests := []struct {
		raw        string
		byDefault  result
		whenStrict result // allow_underscore = false
	}{
		{"web01.contoso.com", accepted("web01.contoso.com"), accepted("web01.contoso.com")},
		{"WEB01.Contoso.COM.", accepted("web01.contoso.com"), accepted("web01.contoso.com")},
		{" web01 ", accepted("web01"), accepted("web01")},
		{"\u00a0\u3000web01\t\r\n", accepted("web01"), accepted("web01")},
		{"c-lab-08", accepted("c-lab-08"), accepted("c-lab-08")},
		{"DESKTOP-4F9K2QL", accepted("desktop-4f9k2ql"), accepted("desktop-4f9k2ql")},
		{"SM-G991B", accepted("sm-g991b"), accepted("sm-g991b")},
		{"3com", accepted("3com"), accepted("3com")},
		{"7zip-srv.corp.local", accepted("7zip-srv.corp.local"), accepted("7zip-srv.corp.local")},
		{"server.local", accepted("server.local"), accepted("server.local")},
		{"ab--cd", accepted("ab--cd"), accepted("ab--cd")},
		{"web_01", accepted("web_01"), refused(NameSyntax)},
		{"web_01.münchen.example", accepted("web_01.xn--mnchen-3ya.example"), refused(NameSyntax)},
		{"_ldap._tcp.contoso.com", refused(NameSyntax), refused(NameSyntax)},
		{"münchen.corp.example", accepted("xn--mnchen-3ya.corp.example"), accepted("xn--mnchen-3ya.corp.example")},
		{"MÜNCHEN.corp.example", accepted("xn--mnchen-3ya.corp.example"), accepted("xn--mnchen-3ya.corp.example")},
		{"xn--mnchen-3ya.corp.example", accepted("xn--mnchen-3ya.corp.example"), accepted("xn--mnchen-3ya.corp.example")},
		{"straße.example", accepted("xn--strae-oqa.example"), accepted("xn--strae-oqa.example")}, // non-transitional
		{"ＷＥＢ01", accepted("web01"), accepted("web01")},
		{"xn--zzzzzz999.corp", refused(NameIDNA), refused(NameIDNA)},
		{"\xff\xfe", refused(NameIDNA), refused(NameIDNA)},
		{"12345", refused(NameNumeric), refused(NameNumeric)},
		{"1.2.3", refused(NameNumeric), refused(NameNumeric)},
		{"host.123", refused(NameNumeric), refused(NameNumeric)},
		{"10.0.0.5", refused(NameIsIP), refused(NameIsIP)},
		{"10.0.0.5.", refused(NameIsIP), refused(NameIsIP)},
		{"[::1]", refused(NameIsIP), refused(NameIsIP)},
		{"fe80::1%eth0", refused(NameIsIP), refused(NameIsIP)},
		{"１０.０.０.５", refused(NameIsIP), refused(NameIsIP)},
		{"web01..", refused(NameSyntax), refused(NameSyntax)},
		{"a..b", refused(NameSyntax), refused(NameSyntax)},
		{"a..ü", refused(NameSyntax), refused(NameSyntax)},
		{".", refused(NameSyntax), refused(NameSyntax)},
		{"-web", refused(NameSyntax), refused(NameSyntax)},
		{"web-", refused(NameSyntax), refused(NameSyntax)},
		{"John’s MacBook Pro", refused(NameSyntax), refused(NameSyntax)},
		{"samsung SM-G991B", refused(NameSyntax), refused(NameSyntax)},
		{`CORP\WEB01`, refused(NameSyntax), refused(NameSyntax)},
		{"web#1", refused(NameSyntax), refused(NameSyntax)},
		{"web＃1", refused(NameSyntax), refused(NameSyntax)}, // maps to "#"
		{"web/1", refused(NameSyntax), refused(NameSyntax)},
		{"web01:443", refused(NameSyntax), refused(NameSyntax)},
		{"web\x0001", refused(NameSyntax), refused(NameSyntax)},
		{label63, accepted(label63), accepted(label63)},
		{label63 + ".example", accepted(label63 + ".example"), accepted(label63 + ".example")},
		{name253, accepted(name253), accepted(name253)},
		{name253 + ".", accepted(name253), accepted(name253)},
		{label63 + "a", refused(NameLabelTooLong), refused(NameLabelTooLong)},
		{longIDNA, refused(NameLabelTooLong), refused(NameLabelTooLong)},
		{name255, refused(NameTooLong), refused(NameTooLong)},
		{name253 + "b", refused(NameTooLong), refused(NameTooLong)},
		{strings.Repeat("ü", 1<<20), refused(NameTooLong), refused(NameTooLong)},
		{"", refused(NameMissing), refused(NameMissing)},
		{" \t\u2003", refused(NameMissing), refused(NameMissing)},
	}
	for _, word := range []string{
		"localhost", "LOCALHOST.", "localhost.localdomain", "localhost6", "localhost6.localdomain6", "unknown", "None", "null", "undefined",
		"N/A", "-", "5.0.0.10.in-addr.arpa", "1.0.ip6.arpa", "ｌｏｃａｌｈｏｓｔ",
	} {
		tests = append(tests, struct {
			raw                   string
			byDefault, whenStrict result
		}{word, refused(NamePlaceholder), refused(NamePlaceholder)})
	}
	normal, strict := DefaultSettings(), DefaultSettings()
	strict.AllowUnderscore = false
	for _, tt := range tests {
		for _, c := range []struct {
			settings *Settings
			want     result
		}{{&normal, tt.byDefault}, {&strict, tt.whenStrict}} {
			name, kind, reason := NormalizeHostname(tt.raw, c.settings)
			if got := (result{name, reason}); got != c.want {
				t.Errorf("NormalizeHostname(%.80q), underscore %v = %v, want %v", tt.raw, c.settings.AllowUnderscore, got, c.want)
			}
			if wantKind := kindOf(c.want.name); kind != wantKind {
				t.Errorf("NormalizeHostname(%.80q): kind %q, want %q", tt.raw, kind, wantKind)
			}
		}
	}
}

func kindOf(name string) NameKind {
	switch {
	case name == "":
		return ""
	case strings.Contains(name, "."):
		return FQDN
	}
	return Short
}

func TestNormalizeHostnameRequiresFQDN(t *testing.T) {
	t.Parallel()
	s := DefaultSettings()
	s.RequireFQDN = true
	for raw, want := range map[string]Reason{
		"c-lab-08": NameNotFQDN, "DESKTOP-4F9K2QL": NameNotFQDN, "SM-G991B": NameNotFQDN, "web01.": NameNotFQDN,
		"web01.contoso.com": Accepted, "server.local": Accepted, "localhost": NamePlaceholder, "12345": NameNumeric,
	} {
		if _, _, reason := NormalizeHostname(raw, &s); reason != want {
			t.Errorf("NormalizeHostname(%q) = %q, want %q", raw, reason, want)
		}
	}
}

func FuzzNormalizeHostname(f *testing.F) {
	for _, seed := range []string{
		"web01.contoso.com", "münchen.example", "xn--mnchen-3ya.example", "ＷＥＢ01", "a。b", "web_01", "K8s", "１０.０.０.５", "שלום.example",
		"xn--zzzzzz999.corp", "a\u00adb", "\xff", "ẞ.de", "xn--ls8h.la", "a.xn--", "xn--a-.b", "\u200d", "ab--ü",
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, raw string, underscore bool) {
		s := Settings{AllowUnderscore: underscore}
		name, kind, reason := NormalizeHostname(raw, &s)
		if (name == "") != (reason != Accepted) {
			t.Fatalf("name %q with reason %q", name, reason)
		}
		if reason != Accepted {
			return
		}
		again, kindAgain, reasonAgain := NormalizeHostname(name, &s)
		if again != name || kindAgain != kind || reasonAgain != Accepted {
			t.Fatalf("%q became %q, which became %q (%q)", raw, name, again, reasonAgain)
		}
		if len(name) > 253 || strings.ContainsAny(name, "#/: ") || name != strings.ToLower(name) {
			t.Fatalf("%q is no normalised name", name)
		}
	})
}
