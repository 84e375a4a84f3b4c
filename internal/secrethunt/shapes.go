package secrethunt

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// piece is how many characters of a secret are too many to be seen, and how many bytes every needle has at least.
const piece = 8

// needles calls add with each shape in which the secret, or any eight characters of it, could be hiding.
func needles(secret string, add func(shape, needle string)) {
	for at := 0; at+piece <= len(secret); at++ {
		clear := secret[at : at+piece]
		inHex := hex.EncodeToString([]byte(clear))
		add("raw", clear)
		add("hex", inHex)
		add("HEX", strings.ToUpper(inHex))
		add("URL-escaped", url.QueryEscape(clear))
		add("JSON-escaped", strings.Trim(strconv.Quote(clear), `"`))
		add("numbers", strings.Trim(fmt.Sprint([]byte(clear)), "[]"))
	}
	// In base64 a piece looks one of three ways, as to where it begins among its neighbours; what depends on those is cut off.
	for skip := range 3 {
		for kind, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := encoding.EncodeToString(append(make([]byte, skip), secret...))
			if len(text) < 6 {
				continue
			}
			text = text[4 : len(text)-2]
			for at := 0; at+11 <= len(text); at++ {
				add(kind, text[at:at+11])
			}
		}
	}
}

// index finds needles in a text, however many they are, in one walk through it.
type index struct {
	marks     []uint64           // a bit is set for the beginning of each needle: most places of a text need no more than this
	beginning map[uint64][]found // needles by their first eight bytes
}

type found struct{ needle, what, shape string }

const markBits = 18

func newIndex() *index {
	return &index{marks: make([]uint64, 1<<markBits/64), beginning: map[uint64][]found{}}
}

//go:norace
func markOf(beginning uint64) (word, bit uint64) {
	mark := beginning * 0x9e3779b97f4a7c15 >> (64 - markBits)
	return mark / 64, 1 << (mark % 64)
}

func (x *index) add(what, secret string) {
	needles(secret, func(shape, needle string) {
		var b uint64
		for _, c := range []byte(needle[:piece]) {
			b = b<<8 | uint64(c)
		}
		word, bit := markOf(b)
		x.marks[word] |= bit
		for _, f := range x.beginning[b] {
			if f.needle == needle {
				return
			}
		}
		x.beginning[b] = append(x.beginning[b], found{needle, what, shape})
	})
}

// search gives each secret that is seen in the text once, with the first shape that it has there. It reads every byte of every answer,
// log and row of the suite, and the race detector would watch each: the Hunt's lock is what keeps it from racing.
//
//go:norace
func (x *index) search(text string) (all []found) {
	seen := map[string]bool{}
	var b uint64
	for i := range len(text) {
		b = b<<8 | uint64(text[i])
		if i < piece-1 {
			continue
		}
		if word, bit := markOf(b); x.marks[word]&bit == 0 {
			continue
		}
		for _, f := range x.beginning[b] {
			if !seen[f.what] && strings.HasPrefix(text[i+1-piece:], f.needle) {
				seen[f.what] = true
				all = append(all, f)
			}
		}
	}
	return all
}
