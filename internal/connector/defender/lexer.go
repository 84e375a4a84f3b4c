package defender

import (
	"bytes"
	"errors"
	"io"
)

// lexer walks through a JSON document (RFC 8259) that arrives in pieces, and holds no more of it than one token and one
// piece. It checks the grammar as it goes; the only liberty is that text need not be valid UTF-8. Its first error stays.
type lexer struct {
	src   io.Reader // repeats its error when it is read again
	limit int64     // bytes of one token
	err   error

	buf      []byte
	pos, end int   // what is not consumed yet
	passed   int64 // bytes of the document before buf
	depth    int
	fresh    bool // an array or object was just opened

	lined bool // no array or object may go on behind a newline
	over  bool // one did, and the next line comes now
}

const (
	lexerBuffer = 64 << 10
	maxDepth    = 10_000 // of nested arrays and objects, as in encoding/json
)

var (
	errSyntax = errors.New("no JSON")
	errDeep   = errors.New("nested too deeply")
)

func (l *lexer) reset(src io.Reader, limit int64) {
	if l.buf == nil {
		l.buf = make([]byte, lexerBuffer)
	}
	*l = lexer{src: src, limit: limit, buf: l.buf}
}

func (l *lexer) fail(err error) {
	if l.err == nil {
		l.err = err
	}
}

// offset is the place in the document that was reached.
func (l *lexer) offset() int64 { return l.passed + int64(l.pos) }

// fill reads on behind what is not consumed yet, which may move: slices of tokens end here. A document that breaks off
// is io.ErrUnexpectedEOF; io.EOF is left for where a document may end.
func (l *lexer) fill() bool {
	if l.err != nil {
		return false
	}
	if l.pos > 0 {
		l.passed += int64(l.pos)
		l.end = copy(l.buf, l.buf[l.pos:l.end])
		l.pos = 0
	}
	if int64(l.end) > l.limit {
		l.fail(errTooLarge)
		return false
	}
	if l.end == len(l.buf) {
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	for {
		n, err := l.src.Read(l.buf[l.end:])
		if l.end += n; n > 0 {
			return true
		}
		if err == io.EOF && (l.depth > 0 || l.end > 0) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			l.fail(err)
			return false
		}
	}
}

// peek is the first byte of what comes next, blanks skipped; 0 when nothing comes. Mostly there is no blank, and the
// compiler puts this in the place of the call.
func (l *lexer) peek() byte {
	if l.pos < l.end && l.buf[l.pos] > ' ' {
		return l.buf[l.pos]
	}
	return l.peekPastBlanks()
}

func (l *lexer) peekPastBlanks() byte {
	for {
		for l.pos < l.end {
			c := l.buf[l.pos]
			if c > ' ' || c != ' ' && c != '\n' && c != '\r' && c != '\t' {
				return c
			}
			if c == '\n' && l.lined && l.depth > 0 {
				if l.err == nil { // else nextLine has yet to find where this line ends
					l.pos++
					l.over, l.err = true, errSyntax
				}
				return 0
			}
			l.pos++
		}
		if !l.fill() {
			return 0
		}
	}
}

// at is the byte n places on; 0 when the document ends before.
func (l *lexer) at(n int) byte {
	for l.pos+n >= l.end {
		if !l.fill() {
			return 0
		}
	}
	return l.buf[l.pos+n]
}

// matches consumes exactly these bytes if they come next. They must be whole tokens of which the last has an end of its
// own. It may miss a match where a piece ends or
// blanks come first.
func (l *lexer) matches(raw []byte) bool {
	if n := len(raw); n > 0 && l.end-l.pos >= n && string(l.buf[l.pos:l.pos+n]) == string(raw) {
		l.pos += n
		return true
	}
	return false
}

// open consumes the delimiter and reports whether it was there; any other value is skipped.
func (l *lexer) open(delimiter byte) bool {
	if l.peek() != delimiter {
		l.skip()
		return false
	}
	if l.depth == maxDepth {
		l.fail(errDeep)
	}
	if l.err != nil {
		return false
	}
	l.depth++
	l.pos++
	l.fresh = true
	return true
}

// more reports whether the open array or object goes on, and consumes its end if not.
func (l *lexer) more(end byte) bool {
	if l.err != nil {
		return false
	}
	c, first := l.peek(), l.fresh
	l.fresh = false
	switch {
	case c == end:
		l.pos++
		l.depth--
		return false
	case first:
		return l.err == nil
	case c != ',':
		l.fail(errSyntax)
		return false
	}
	l.pos++
	if l.peek() == end {
		l.fail(errSyntax)
	}
	return l.err == nil
}

// name reads a property's name, in its quotes; nil on an error. The colon is left.
func (l *lexer) name() []byte {
	if l.peek() != '"' {
		l.fail(errSyntax)
	}
	return l.scalar()
}

func (l *lexer) colon() {
	if l.peek() != ':' {
		l.fail(errSyntax)
		return
	}
	l.pos++
}

// skip passes over a value of any kind.
func (l *lexer) skip() {
	switch l.peek() {
	case '{':
		for l.open('{'); l.more('}'); l.skip() {
			l.name()
			l.colon()
		}
	case '[':
		for l.open('['); l.more(']'); {
			l.skip()
		}
	default:
		l.scalar()
	}
}

// nextLine goes on with the line behind the one in which a document of lines broke. It reports false when the document itself did: what
// comes of a body that does not arrive is nothing to go on with.
func (l *lexer) nextLine() bool {
	if !errors.Is(l.err, errSyntax) && !errors.Is(l.err, errDeep) {
		return false
	}
	over := l.over
	l.err, l.depth, l.fresh, l.over = nil, 0, false, false
	if over {
		return true
	}
	for {
		if i := bytes.IndexByte(l.buf[l.pos:l.end], '\n'); i >= 0 {
			l.pos += i + 1
			return true
		}
		l.pos = l.end
		if !l.fill() {
			return l.err == io.EOF
		}
	}
}

// finished reports whether nothing follows.
func (l *lexer) finished() bool { return l.peek() == 0 && l.err == io.EOF }
