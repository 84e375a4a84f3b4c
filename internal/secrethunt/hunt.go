// Package secrethunt looks for secrets where none may be: in answers, logs, metrics and tables of a test.
//
// A Hunt learns the secrets of one test by itself from what passes its Handler, and is told the others. It searches for every
// eight characters of them in every shape that a careless line of code could give them, and reports when the test ends.
package secrethunt

import (
	"fmt"
	"sync"
)

// TB is the part of testing.TB that is needed to report what was found.
type TB interface {
	Helper()
	Errorf(format string, args ...any)
}

// Hunt is safe for concurrent use.
type Hunt struct {
	mu     sync.RWMutex
	known  map[string]bool
	index  *index
	leaked []string
	told   map[string]bool
}

// New returns a Hunt that knows no secret yet.
func New() *Hunt {
	return &Hunt{known: map[string]bool{}, index: newIndex(), told: map[string]bool{}}
}

// Search notes what is found in a text; place says where it was seen. Secrets that are learned later are not found in it.
func (h *Hunt) Search(place, text string) {
	h.mu.RLock()
	all := h.index.search(text)
	h.mu.RUnlock()
	for _, f := range all {
		h.note(fmt.Sprintf("%s: found %s, %s", place, f.what, f.shape))
	}
}

// Check is Search and Report at once, for what one test saw while others share the Hunt.
func (h *Hunt) Check(tb TB, place, text string) {
	tb.Helper()
	h.mu.RLock()
	all := h.index.search(text)
	h.mu.RUnlock()
	for _, f := range all {
		tb.Errorf("a secret has come out: %s: found %s, %s", place, f.what, f.shape)
	}
}

// note keeps every leak once.
func (h *Hunt) note(leak string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.told[leak] {
		h.told[leak], h.leaked = true, append(h.leaked, leak)
	}
}

// Report fails the test for each place in which a secret was seen.
func (h *Hunt) Report(tb TB) {
	tb.Helper()
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, leak := range h.leaked {
		tb.Errorf("a secret has come out: %s", leak)
	}
}

// learn makes the text something to be searched for, unless it is too plain to be a secret: short, or made of few characters as
// tests repeat them.
func (h *Hunt) learn(what, text string) {
	if len(text) < 2*piece || variety(text) < 10 {
		return
	}
	h.mu.RLock()
	known := h.known[text]
	h.mu.RUnlock()
	if known {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.known[text] {
		h.known[text] = true
		h.index.add(fmt.Sprintf("%s %d", what, len(h.known)), text)
	}
}

func variety(text string) (n int) {
	var seen [256]bool
	for i := range len(text) {
		if !seen[text[i]] {
			seen[text[i]] = true
			n++
		}
	}
	return n
}
