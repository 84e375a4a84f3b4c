package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
)

// Bounds of lists and of repeated parameters.
const (
	usualLimit = 50
	maxLimit   = 1000
	maxRepeats = 20
)

// checkQuery refuses query strings that cannot be read, hold unknown parameters, or text that no database can hold.
func checkQuery(r *http.Request, known []string) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		f := fault.Wrap(err, fault.CodeInvalidRequest, "the query string cannot be read")
		f.Remedy = "Separate parameters by & and write other special characters as %XX."
		return f
	}
	var fields []fault.Field
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case !slices.Contains(known, name):
			fields = append(fields, parameter(printable(name), "unknown_parameter", "There is no such parameter"))
		case !slices.ContainsFunc(values[name], unstorable):
		default:
			fields = append(fields, parameter(name, "invalid_format", "Must be valid UTF-8 without the NUL character"))
		}
	}
	if len(fields) > 0 {
		return invalid(fields...)
	}
	return nil
}

func unstorable(s string) bool { return !utf8.ValidString(s) || strings.ContainsRune(s, 0) }

// longestName is longer than every name of the contract and shorter than the secrets that Microsoft issues.
const longestName = 32

// printable is a name that a caller made up as it is told back: itself while it looks like a name, else an ellipsis. A
// secret that slipped into the place of a name is not repeated, and neither is what could forge or flood a line.
func printable(name string) string {
	strange := func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.$@ []", r))
	}
	if len(name) > longestName || strings.ContainsFunc(name, strange) {
		return "…"
	}
	return name
}

func parameter(name, code, detail string) fault.Field {
	return fault.Field{Pointer: "?" + name, Code: code, Detail: detail}
}

// params reads query parameters and collects what is wrong with them, so that a caller learns everything at once.
type params struct {
	values url.Values
	fields []fault.Field
}

func readQuery(r *http.Request) *params { return &params{values: r.URL.Query()} }

// err is what was wrong, or nil.
func (p *params) err() error {
	if len(p.fields) == 0 {
		return nil
	}
	return invalid(p.fields...)
}

func (p *params) refuse(name, code, format string, args ...any) {
	p.fields = append(p.fields, parameter(name, code, fmt.Sprintf(format, args...)))
}

// one is the value of a parameter that may stand only once.
func (p *params) one(name string) (string, bool) {
	values := p.values[name]
	if len(values) > 1 {
		p.refuse(name, "repeated", "Must not be repeated")
	}
	if len(values) == 0 {
		return "", false
	}
	return values[0], true
}

// many are the values of a parameter that may be repeated as often as is usual.
func (p *params) many(name string) []string { return p.upTo(maxRepeats, name) }

func (p *params) upTo(most int, name string) []string {
	values := p.values[name]
	if len(values) > most {
		p.refuse(name, "too_many", "Must not stand more than %d times", most)
		return nil
	}
	return values
}

// text is a single text of bounded length in characters.
func (p *params) text(name string, shortest, longest int) string {
	value, ok := p.one(name)
	if ok {
		p.checkLength(name, value, shortest, longest)
	}
	return value
}

func (p *params) texts(name string, longest int) []string {
	values := p.many(name)
	for _, v := range values {
		p.checkLength(name, v, 1, longest)
	}
	return values
}

func (p *params) checkLength(name, value string, shortest, longest int) {
	switch n := utf8.RuneCountInString(value); {
	case n == 0 && shortest == 1:
		p.refuse(name, "too_short", "%s", notEmpty)
	case n < shortest:
		p.refuse(name, "too_short", "Must have at least %d characters", shortest)
	case n > longest:
		p.refuse(name, "too_long", "Must have at most %d characters", longest)
	}
}

func (p *params) flag(name string) *bool {
	value, ok := p.one(name)
	if !ok {
		return nil
	}
	if value != "true" && value != "false" {
		p.refuse(name, "wrong_type", "Must be true or false")
		return nil
	}
	yes := value == "true"
	return &yes
}

func (p *params) time(name string) time.Time {
	value, ok := p.one(name)
	if !ok {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		p.refuse(name, "invalid_format", "Must be a time as in RFC 3339, such as 2026-11-01T00:00:00Z")
	}
	if t.IsZero() { // which would read as no bound
		t = t.Add(time.Microsecond)
	}
	return t.UTC()
}

// jsonNumber is how JSON writes a number; Go would take more.
var jsonNumber = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)

func (p *params) fraction(name string) float64 {
	value, ok := p.one(name)
	if !ok {
		return 0
	}
	f, err := strconv.ParseFloat(value, 64)
	switch {
	case err != nil || !jsonNumber.MatchString(value):
		p.refuse(name, "wrong_type", "Must be a number")
	case f < 0:
		p.refuse(name, "too_small", "Must be at least 0")
	case f > 1:
		p.refuse(name, "too_large", "Must be at most 1")
	}
	return f
}

func (p *params) ids(name, prefix string) []uuid.UUID {
	var ids []uuid.UUID
	for _, value := range p.many(name) {
		id, ok := parseID(prefix, value)
		if !ok {
			p.refuse(name, "invalid_format", "Must be an id beginning with %s", prefix)
			return nil
		}
		ids = append(ids, id)
	}
	return ids
}

func (p *params) addresses(name string) []netip.Addr {
	var out []netip.Addr
	for _, value := range p.many(name) {
		a, err := netip.ParseAddr(value)
		if err != nil || a.Zone() != "" {
			p.refuse(name, "invalid_format", "Must be an IPv4 or IPv6 address")
			return nil
		}
		out = append(out, a.Unmap())
	}
	return out
}

func (p *params) vulnerabilities(name string) []string {
	values := p.many(name)
	for _, v := range values {
		if !vulnerabilityName.MatchString(v) {
			p.refuse(name, "invalid_format", "Must be a name such as CVE-2026-21412")
			return nil
		}
	}
	return values
}

// chosen reads a repeatable parameter whose values are words of a list.
func chosen[T any](p *params, name string, w words[T]) []T {
	var out []T
	for _, value := range p.many(name) {
		v, ok := w.parse(value)
		if !ok {
			p.refuse(name, "not_allowed", "Must be one of %s", w.list())
			return nil
		}
		out = append(out, v)
	}
	return out
}

// choice is [chosen] for a parameter that may stand once; usual is taken when it does not.
func choice[T any](p *params, name string, w words[T], usual T) T {
	value, ok := p.one(name)
	if !ok {
		return usual
	}
	v, ok := w.parse(value)
	if !ok {
		p.refuse(name, "not_allowed", "Must be one of %s", w.list())
	}
	return v
}

// limit is the page size: more than the most is taken as the most.
func (p *params) limit() int {
	value, ok := p.one("limit")
	if !ok {
		return usualLimit
	}
	digits := strings.TrimLeft(value, "0123456789") == ""
	n, err := strconv.Atoi(value)
	switch {
	case err != nil && digits && len(value) > 9: // far beyond any integer is still more than the most
		return maxLimit
	case err != nil || n >= 0 && !digits:
		p.refuse("limit", "wrong_type", "Must be an integer")
	case n < 1:
		p.refuse("limit", "too_small", "Must be at least 1")
	}
	return min(n, maxLimit)
}

// sorting reads the order of a list. Keys that put the worst first descend unless a "-" reverses them.
func (p *params) sorting(keys []string, usual string, worstFirst ...string) inventory.Sort {
	value, ok := p.one("sort")
	if !ok {
		value = usual
	}
	key, reversed := strings.CutPrefix(value, "-")
	if !slices.Contains(keys, key) {
		p.refuse("sort", "not_allowed", "Must be one of %s, with or without a - in front", strings.Join(keys, ", "))
	}
	return inventory.Sort{Key: key, Descending: reversed != slices.Contains(worstFirst, key)}
}
