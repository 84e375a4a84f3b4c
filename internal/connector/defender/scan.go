package defender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
)

// scanner reads JSON values leniently: null and a value of the wrong type are an empty one, and only broken JSON is an
// error, kept in err. One scanner reads any number of pages; it exists so that reading a record does not allocate what
// the records before it had already.
type scanner struct {
	lexer
	scratch  []byte
	interned map[string]string
}

func newScanner() *scanner {
	return &scanner{interned: map[string]string{}}
}

// memo remembers the text a field had last. Comparing with it is far cheaper than reading the text again.
type memo struct {
	raw  []byte
	text string
	at   time.Time
}

// value reads a scalar's raw text; arrays and objects are skipped and give nil.
func (s *scanner) value() []byte {
	switch s.peek() {
	case '{', '[':
		s.skip()
		return nil
	}
	return s.scalar()
}

// text reads a string of at most limit bytes.
func (s *scanner) text(limit int) string {
	if v := s.value(); len(v) > 0 && v[0] == '"' {
		return s.clean(v, limit)
	}
	return ""
}

// word is text that may also come as a number, such as an interface type or a version.
func (s *scanner) word(limit int) string {
	v := s.value()
	if len(v) > 0 && (v[0] == '"' || numeric(v[0])) {
		return s.clean(v, limit)
	}
	return ""
}

// id is text that is dropped when it is too long.
func (s *scanner) id() string {
	text := s.text(maxCutID)
	if len(text) > maxID {
		return ""
	}
	return text
}

// remembered is text that is likely to be what it was in the record before.
func (s *scanner) remembered(m *memo, limit int) string {
	if s.matches(m.raw) {
		return m.text
	}
	v := s.value()
	if len(v) == 0 || (v[0] != '"' && !numeric(v[0])) {
		return ""
	}
	if bytes.Equal(v, m.raw) {
		return m.text
	}
	text := s.clean(v, limit)
	if len(v) <= maxMemo && v[0] == '"' {
		m.raw, m.text = append(m.raw[:0], v...), text
	}
	return text
}

// number reads a number, or one in quotes; ok is false for anything else and for what float64 cannot hold.
func (s *scanner) number() (n float64, ok bool) {
	v := s.value()
	if len(v) == 0 {
		return 0, false
	}
	b := bytes.Trim(v, `"`)
	if len(b) == 0 || len(b) > 32 || !numeric(b[0]) {
		return 0, false
	}
	n, err := strconv.ParseFloat(string(b), 64)
	return n, err == nil && !math.IsInf(n, 0)
}

// between reads a number from low to high, -1 for anything else.
func (s *scanner) between(low, high float64) float64 {
	if n, ok := s.number(); ok && n >= low && n <= high {
		return n
	}
	return -1
}

// integer reads a whole number that fits exactly, 0 for anything else.
func (s *scanner) integer() int64 {
	const exact = 1 << 53
	if n, ok := s.number(); ok && n == math.Trunc(n) && math.Abs(n) <= exact {
		return int64(n)
	}
	return 0
}

// boolean reads true or false, also in quotes; known is false for anything else.
func (s *scanner) boolean() (yes, known bool) {
	v := bytes.Trim(s.value(), `"`)
	yes = bytes.EqualFold(v, []byte("true"))
	return yes, yes || bytes.EqualFold(v, []byte("false"))
}

func (s *scanner) yes() bool {
	yes, _ := s.boolean()
	return yes
}

// moment reads a point in time; see [parseTime].
func (s *scanner) moment() time.Time {
	v := s.value()
	if len(v) < 2 || v[0] != '"' {
		return time.Time{}
	}
	return parseTime(v[1 : len(v)-1])
}

// rememberedTime is a moment that is likely to be what it was in the record before.
func (s *scanner) rememberedTime(m *memo) time.Time {
	if s.matches(m.raw) {
		return m.at
	}
	v := s.value()
	if len(v) < 2 || v[0] != '"' {
		return time.Time{}
	}
	if bytes.Equal(v, m.raw) {
		return m.at
	}
	at := parseTime(v[1 : len(v)-1])
	if len(v) <= maxMemo {
		m.raw, m.at = append(m.raw[:0], v...), at
	}
	return at
}

// texts appends the strings of an array to dst, without blank ones. memos may be nil; otherwise it remembers the strings
// by their place.
func (s *scanner) texts(dst []string, limit int, memos *[]memo) []string {
	if !s.open('[') {
		return dst
	}
	for i := 0; s.more(']'); i++ {
		if i >= maxElements {
			s.skip()
			continue
		}
		text := ""
		if memos == nil {
			text = s.text(limit)
		} else {
			if i == len(*memos) {
				*memos = append(*memos, memo{})
			}
			text = s.remembered(&(*memos)[i], limit)
		}
		if strings.TrimSpace(text) != "" {
			dst = append(dst, text)
		}
	}
	return dst
}

// broken turns the scanner's error into a failure. Nothing of the body itself is kept, only the place.
func (s *scanner) broken() error {
	cause := fmt.Errorf("broken JSON near byte %d", s.offset())
	for _, known := range []error{errTooLarge, io.ErrUnexpectedEOF} {
		if errors.Is(s.err, known) {
			cause = known
		}
	}
	return malformed(cause, "Microsoft's answer is no complete JSON document of the expected form.", true)
}
