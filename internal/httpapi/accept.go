package httpapi

import (
	"net/http"
	"strings"

	"github.com/munnerz/goautoneg"
)

// wantsLines tells whether the caller asks for lines in so many words, and not for JSON rather; a wildcard does not ask.
func wantsLines(r *http.Request) bool {
	if r.Method == http.MethodHead { // nobody would see the lines
		return false
	}
	accept := newAccepted(r.Header)
	lines := accept[linesType]
	return lines > 0 && lines >= accept.json()
}

// accepted has the quality of each media range that the caller named.
type accepted map[string]float64

// newAccepted reads Accept. Case and blanks mean nothing there, but the parser takes them for part of the words.
func newAccepted(h http.Header) accepted {
	text := strings.ToLower(strings.Join(h.Values("Accept"), ","))
	a := accepted{}
	for _, clause := range goautoneg.ParseAccept(strings.NewReplacer(" ", "", "\t", "").Replace(text)) {
		kind := clause.Type + "/" + clause.SubType
		a[kind] = max(a[kind], clause.Q)
	}
	return a
}

// json is the quality of JSON by the most precise range that includes it.
func (a accepted) json() float64 {
	for _, kind := range []string{mediaJSON, "application/*", "*/*"} {
		if q, named := a[kind]; named {
			return q
		}
	}
	return 0
}
