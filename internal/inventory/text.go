package inventory

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of stored text, in characters. No value that a product of Microsoft is known to send comes near them; they keep
// one broken record from filling the database or an index.
const (
	maxWord    = 128  // enumeration-like words, versions, ids
	maxName    = 512  // names that people choose: groups, tags, raw host names
	maxPath    = 2048 // cloud resource ids
	maxTags    = 200
	maxDetail  = 100 // details of skipped records
	maxID      = 256
	minTrusted = 1970 // years outside these are placeholders or broken clocks
	maxTrusted = 9999
)

// cleaner repairs text for storage and remembers whether anything was lost.
type cleaner struct{ lost bool }

// text trims s, drops NUL, which PostgreSQL cannot hold, replaces invalid UTF-8 by U+FFFD and cuts to max characters.
func (c *cleaner) text(s string, max int) string {
	s = strings.TrimSpace(s)
	if len(s) > max*utf8.UTFMax {
		c.lost = true
		s = s[:max*utf8.UTFMax]
	}
	if strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s) {
		c.lost = true
		s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	}
	if cut := firstRunes(s, max); len(cut) < len(s) {
		c.lost = true
		s = cut
	}
	return strings.TrimSpace(s)
}

// tags drops blank and repeated tags, which Defender does send.
func (c *cleaner) tags(reported []string) []string {
	var kept []string
	seen := make(map[string]bool, min(len(reported), maxTags))
	for _, tag := range reported {
		tag = c.text(tag, maxName)
		if tag == "" || seen[tag] {
			continue
		}
		if len(kept) == maxTags {
			c.lost = true
			break
		}
		seen[tag] = true
		kept = append(kept, tag)
	}
	return kept
}

// CanonicalID is the form in which ids of a source are compared and stored: they are hexadecimal, and their case varies.
func CanonicalID(id string) string { return fold(id) }

// fold prepares words and names for comparison without case.
func fold(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// usableID tells ids that can be stored and compared as they are.
func usableID(id string) bool {
	return id != "" && len(id) <= maxID && utf8.ValidString(id) && !strings.ContainsFunc(id, unicode.IsControl)
}

// sample makes a foreign value safe to show: at most [maxDetail] characters on one line, with everything invisible
// escaped.
func sample(value string) string {
	var b strings.Builder
	for left := maxDetail; value != ""; {
		r, width := utf8.DecodeRuneInString(value)
		piece := value[:width]
		switch {
		case r == utf8.RuneError && width == 1:
			piece = fmt.Sprintf(`\x%02x`, value[0])
		case !unicode.IsPrint(r):
			piece = fmt.Sprintf(`\u%04x`, r)
		}
		value = value[width:]
		size := utf8.RuneCountInString(piece)
		if size > left || size == left && value != "" {
			return b.String() + "…"
		}
		b.WriteString(piece)
		left -= size
	}
	return b.String()
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
