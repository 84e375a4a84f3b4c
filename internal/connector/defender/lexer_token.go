package defender

import (
	"encoding/binary"
	"math/bits"
)

// scalar reads a text, number or literal as it is written, quotes included; nil on an error. It is valid until the
// next call.
func (l *lexer) scalar() []byte {
	if l.err != nil {
		return nil
	}
	n := 0
	switch c := l.peek(); {
	case c == '"':
		n = l.quoted()
	case numeric(c):
		n = l.number()
	case c == 't':
		n = l.literal("true")
	case c == 'f':
		n = l.literal("false")
	case c == 'n':
		n = l.literal("null")
	default:
		l.fail(errSyntax)
	}
	if l.err != nil {
		return nil
	}
	v := l.buf[l.pos : l.pos+n]
	l.pos += n
	return v
}

// quoted is the length of a quoted text.
func (l *lexer) quoted() int {
	n := 1
	for l.err == nil {
		n += ordinary(l.buf[l.pos+n : l.end])
		switch c := l.at(n); {
		case c == '"':
			return n + 1
		case c == '\\':
			n = l.escape(n)
		case c < ' ':
			l.fail(errSyntax)
		}
	}
	return n
}

// ordinary is how much of a text goes on without a quote, an escape or a control character. Eight bytes are looked at
// together: each term has the high bit set in the bytes it looks for; what a borrow sets wrongly lies above the first.
func ordinary(b []byte) int {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		w := binary.LittleEndian.Uint64(b[n:])
		quote, escape := w^ones*'"', w^ones*'\\'
		hits := ((w-ones*' ')&^w | (quote-ones)&^quote | (escape-ones)&^escape) & highs
		if hits != 0 {
			return n + bits.TrailingZeros64(hits)/8
		}
	}
	for n < len(b) && b[n] >= ' ' && b[n] != '"' && b[n] != '\\' {
		n++
	}
	return n
}

// escape is the place behind the escape that begins at n.
func (l *lexer) escape(n int) int {
	switch l.at(n + 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return n + 2
	case 'u':
		for i := n + 2; i < n+6; i++ {
			if !hexadecimal(l.at(i)) {
				l.fail(errSyntax)
			}
		}
		return n + 6
	}
	l.fail(errSyntax)
	return n
}

// number is the length of a number.
func (l *lexer) number() int {
	n := 0
	if l.at(n) == '-' {
		n++
	}
	if l.at(n) == '0' {
		n++
	} else {
		n = l.digits(n)
	}
	if l.at(n) == '.' {
		n = l.digits(n + 1)
	}
	if l.at(n)|0x20 == 'e' {
		if n++; l.at(n) == '+' || l.at(n) == '-' {
			n++
		}
		n = l.digits(n)
	}
	return n
}

// digits is the place behind the digits, at least one, that begin at n.
func (l *lexer) digits(n int) int {
	first := n
	for c := l.at(n); c >= '0' && c <= '9'; c = l.at(n) {
		n++
	}
	if n == first {
		l.fail(errSyntax)
	}
	return n
}

func (l *lexer) literal(word string) int {
	for i := range len(word) {
		if l.at(i) != word[i] {
			l.fail(errSyntax)
			break
		}
	}
	return len(word)
}

func numeric(c byte) bool { return c == '-' || c >= '0' && c <= '9' }

func hexadecimal(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}
