package inventory

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// Lengths of a host name in octets, without the trailing dot (RFC 1035 §2.3.4).
const (
	maxHostname = 253
	maxLabel    = 63
)

// maxRawHostname bounds what is handed to IDNA: mapping shortens full-width and ignored characters, but never this much
// in a name that anybody typed, and Punycode takes quadratic time.
const maxRawHostname = 2048

// placeholders are words that stand where a name should be. They are compared after the trailing dot is gone.
var placeholders = map[string]bool{
	"localhost": true, "localhost.localdomain": true, "unknown": true, "none": true, "null": true, "undefined": true,
	"n/a": true, "-": true,
}

// lookup is UTS #46, non-transitional, as for resolving a name (RFC 5891 §5). The ASCII rules are asked separately,
// because they include underscores and double hyphens, which real machines have and STD 3 has not.
var lookup = idna.New(idna.MapForLookup(), idna.Transitional(false), idna.StrictDomainName(false), idna.CheckHyphens(false), idna.BidiRule())

// NormalizeHostname brings a reported host name into the form under which it is stored: lower-case A-labels without
// trailing dot. Names are never repaired beyond that. A normalised name normalises to itself.
//
// The rule is RFC 952 as relaxed by RFC 1123 §2.1 (a label may begin with a digit), the lengths of RFC 1035, a last
// label that is not all digits (RFC 3696 §2), and "_" inside labels if s allows it, because Windows computer names may
// hold it.
func NormalizeHostname(raw string, s *Settings) (name string, kind NameKind, reason Reason) {
	name = strings.TrimSpace(raw)
	if name == "" {
		return "", "", NameMissing
	}
	name = strings.TrimSuffix(lowerASCII(name), ".")
	if reason := refusedAsName(name); reason != Accepted {
		return "", "", reason
	}
	if needsIDNA(name) {
		if name, reason = toASCII(name, s); reason != Accepted {
			return "", "", reason
		}
	}
	if reason := checkSyntax(name, s); reason != Accepted {
		return "", "", reason
	}
	if !strings.Contains(name, ".") {
		if s.RequireFQDN {
			return "", "", NameNotFQDN
		}
		return name, Short, Accepted
	}
	return name, FQDN, Accepted
}

// toASCII maps a name with non-ASCII or "xn--" labels to A-labels. What comes out is asked the same questions as a name
// that was plain from the beginning: "１０.０.０.５" is an address too.
func toASCII(name string, s *Settings) (string, Reason) {
	if len(name) > maxRawHostname {
		return "", NameTooLong
	}
	for label := range strings.SplitSeq(name, ".") {
		if !plausibleLabel(label, s) {
			return "", NameSyntax
		}
	}
	mapped, err := lookup.ToASCII(name)
	if err != nil {
		return "", NameIDNA
	}
	return mapped, refusedAsName(mapped)
}

// refusedAsName finds texts that are something else than a name, whatever their syntax.
func refusedAsName(name string) Reason {
	switch {
	case placeholders[name], strings.HasPrefix(name, "localhost6"),
		strings.HasSuffix(name, ".in-addr.arpa"), strings.HasSuffix(name, ".ip6.arpa"):
		return NamePlaceholder
	case isAddress(name):
		return NameIsIP
	}
	return Accepted
}

func isAddress(name string) bool {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		name = strings.TrimSuffix(inner, "]")
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

func needsIDNA(name string) bool {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return true
		}
	}
	return strings.HasPrefix(name, "xn--") || strings.Contains(name, ".xn--")
}

// checkSyntax judges a name in ASCII: lengths first, then characters, then the last label.
func checkSyntax(name string, s *Settings) Reason {
	if len(name) > maxHostname {
		return NameTooLong
	}
	last := ""
	for label := range strings.SplitSeq(name, ".") {
		if len(label) > maxLabel {
			return NameLabelTooLong
		}
		last = label
	}
	for label := range strings.SplitSeq(name, ".") {
		if !plausibleLabel(label, s) {
			return NameSyntax
		}
	}
	if strings.Trim(last, "0123456789") == "" {
		return NameNumeric
	}
	return Accepted
}

// plausibleLabel checks everything about a label that ASCII rules can say; other characters are left to IDNA.
func plausibleLabel(label string, s *Settings) bool {
	if label == "" || label[0] == '-' || label[0] == '_' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		switch c := label[i]; {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c >= 0x80:
		case c == '_' && s.AllowUnderscore:
		default:
			return false
		}
	}
	return true
}

// lowerASCII leaves other letters alone: folding them is IDNA's, whose answer may differ from Unicode's lower case.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
