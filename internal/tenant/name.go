package tenant

import (
	"unicode"
	"unicode/utf8"
)

// MaxName is the longest name of a tenant, an API key or an integration, in characters.
const MaxName = 100

// braillePatternBlank is a symbol to Unicode, and looks like a space.
const braillePatternBlank = '\u2800'

// ValidName tells whether a text may be the name of a tenant, an API key or an integration: 1 to MaxName characters, at least one of
// which can be seen, and none that hides or turns others round: no control or format characters (Unicode's Cc and Cf, with those
// that set the direction or have no width), no line or paragraph separators, and nothing else that Unicode says is shown as nothing
// (Default_Ignorable_Code_Point).
func ValidName(name string) bool {
	if n := utf8.RuneCountInString(name); n == 0 || n > MaxName || !utf8.ValidString(name) {
		return false
	}
	seen := false
	for _, r := range name {
		if unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
			return false
		}
		seen = seen || !unicode.IsSpace(r) && r != braillePatternBlank
	}
	return seen
}
