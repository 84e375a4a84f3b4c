package defender

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Longest texts that are kept, in bytes; longer ones are cut at a character. Ids are not cut, because two cut ids might
// become one: an id that is too long counts as absent.
const (
	maxID          = 128
	maxCutID       = maxID + utf8.UTFMax // what is left of an id cut here is still longer than maxID
	maxText        = 1 << 10
	maxSoftware    = 512 // vendor, product, version: the store indexes the three together, and PostgreSQL's limit is 2704 bytes
	maxURL         = 2 << 10
	maxPath        = 4 << 10
	maxDescription = 64 << 10
	maxElements    = 256 // of an array of a record; the rest is dropped
)

const (
	maxInterned   = 1 << 16 // texts remembered at once; then all are forgotten
	maxInternable = 256
	maxMemo       = 4 << 10
)

// clean unquotes a string, repairs it and cuts it. NUL, which PostgreSQL cannot store, becomes U+FFFD like any other
// byte that is no text: removing it could turn a hostile name into a valid one.
func (s *scanner) clean(v []byte, limit int) string {
	b := v
	if b[0] == '"' {
		b = b[1 : len(b)-1]
		if bytes.IndexByte(b, '\\') >= 0 || !utf8.Valid(b) {
			s.scratch, _ = jsontext.AppendUnquote(s.scratch[:0], v) // the error only reports repaired UTF-8
			b = s.scratch
		}
	}
	if len(b) > limit {
		b = wholeRunes(b[:limit])
	}
	if bytes.IndexByte(b, 0) >= 0 {
		return strings.ReplaceAll(string(b), "\x00", "\uFFFD")
	}
	return s.intern(b)
}

// wholeRunes drops a character that was cut in two at the end of b.
func wholeRunes(b []byte) []byte {
	for range utf8.UTFMax - 1 {
		if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size != 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return b
}

func (s *scanner) intern(b []byte) string {
	if len(b) > maxInternable {
		return string(b)
	}
	if text, ok := s.interned[string(b)]; ok {
		return text
	}
	if len(s.interned) >= maxInterned {
		clear(s.interned)
	}
	text := string(b)
	s.interned[text] = text
	return text
}
