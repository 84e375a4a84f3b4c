package httpapi_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/getkin/kin-openapi/openapi3"
)

// dice is where all chance comes from.
type dice struct{ *rand.Rand }

func oneOf[T any](d dice, all ...T) T { return all[d.IntN(len(all))] }

// in gives true so many times in a hundred.
func (d dice) in(percent int) bool { return d.IntN(100) < percent }

// texts are what software that is not careful trips over: injections into SQL, shells, paths, templates, logs and pages, and the
// corners of Unicode.
var texts = []string{
	"' OR '1'='1", "'; DROP TABLE asset;--", `" OR ""="`, "1) UNION SELECT 1,2,3--", `\'`, "$1", "$$", "%", "_", "%%%", `\`, `\\`, "*", "/*", "--", "a:*&b", "!()|&:*<->",
	"../../etc/passwd", "..%2f..%2f", `..\..\`, "/dev/null", "file:///etc/passwd", "C:\\", "con", ".", "..", "~",
	"${jndi:ldap://127.0.0.1/a}", "{{7*7}}", "#{7*7}", "<script>alert(1)</script>", "&lt;", "`id`", "$(id)", "| id", "%s%s%n", "%00", "\\u0000",
	"null", "undefined", "NaN", "true", "0", "-1", "1e400", "[]", "{}", "__proto__", "constructor",
	"ä", "ß", "İ", "ı", "ſ", "Ω", "日本語", "🧨", "👩‍👩‍👧‍👦", "e\u0301", "\u202eabc", "\u200b", "\ufeff", "\u2028", "\u00a0", "\ufffd", "\U0010ffff", "Z̴̢̛a̶l̸g̷o", "ﷺ",
}

// text is a text of a length between both bounds, in characters.
func (r *draft) text(shortest, longest int) string {
	s := oneOf(r.dice, texts...)
	switch r.IntN(10) {
	case 0:
		s = strings.Repeat("ä", min(longest, 1000)) // more would be too large a body
	case 1:
		s = strings.Repeat("x", shortest)
	case 2, 3, 4:
		s = oneOf(r.dice, "web01", "contoso", "example_server", "windows", "server 2022", "10.0.", "high") + s
	}
	for utf8.RuneCountInString(s) < shortest {
		s += "x"
	}
	if runes := []rune(s); len(runes) > longest {
		s = string(runes[:longest])
	}
	return s
}

// times are RFC 3339, some at the ends of what can be written.
var times = []string{
	"2026-11-01T00:00:00Z", "2026-11-01T00:00:00.123456789Z", "2026-11-01T02:00:00+02:00", "2027-06-30T23:59:59-11:30", "1970-01-01T00:00:00Z",
	"0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999-14:00", "2024-02-29T12:00:00Z",
}

// ofPattern makes values for the patterns of the document. Every pattern has to be here.
func (r *draft) ofPattern(pattern, name string) string {
	switch {
	case strings.HasPrefix(pattern, "^int_"):
		return oneOf(r.dice, r.own, r.foreign, r.unknown).integration
	case strings.HasPrefix(pattern, "^run_"):
		return oneOf(r.dice, r.own, r.foreign, r.unknown).run
	case strings.HasPrefix(pattern, "^ast_"):
		return oneOf(r.dice, r.own, r.foreign, r.unknown).asset
	case strings.HasPrefix(pattern, `^\s*(\{\s*[0-9A-Fa-f]`):
		return r.guid(name)
	case strings.HasPrefix(pattern, `^\s*[\x21-\x7E]{16,}`):
		return oneOf(r.dice, simSecret, " "+simSecret+"\n", canary, strings.Repeat("~", 256), `"'\<>&;--$(x)%00~~~`)
	case strings.HasPrefix(pattern, "^[A-Za-z0-9][A-Za-z0-9._-]"):
		return oneOf(r.dice, r.own.vulnerability, strings.ToLower(r.own.vulnerability), "CVE-1999-0001", "a--", strings.Repeat("x", 64))
	case pattern == "^[!-~]+$", pattern == "^[!-~]*$":
		return oneOf(r.dice, "ops@contoso.example", "a", "';--@x", strings.Repeat("z", 254), "x"+strconv.Itoa(r.IntN(1_000_000)))
	case strings.HasPrefix(pattern, "^[^\\x00-\\x1F\\x7F-\\x9F\u00ad"): // a name
		return oneOf(r.dice, "Müller & Söhne", "東京 ", "';--", "𝕏", "a&#8203;b", "$(x)")
	case strings.Contains(pattern, `[^\x00-\x1F\x7F`): // any text without control characters
		return ""
	}
	panic("attack: no values are known for the pattern " + pattern)
}

// guid is a directory or an application.
func (r *draft) guid(name string) string {
	id, strange := simClient, []string{"00000000-0000-0000-0000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"}
	if name == "tenant_id" { // which has to be another one
		id, strange = oneOf(r.dice, r.directories...), []string{"00000000-0000-0000-0000-000000000002", "ffffffff-ffff-ffff-ffff-fffffffffffe"}
	}
	if r.in(10) {
		id = oneOf(r.dice, strange...)
	}
	switch r.IntN(6) {
	case 0:
		return strings.ToUpper(id)
	case 1:
		return " {" + id + "}\n"
	}
	return id
}

// soundText is a text that a schema allows.
func (r *draft) soundText(s *openapi3.Schema, name string) string {
	if len(s.Enum) > 0 {
		return oneOf(r.dice, s.Enum...).(string)
	}
	shortest, longest := int(s.MinLength), 80
	if s.MaxLength != nil {
		longest = int(*s.MaxLength)
	}
	if s.Pattern != "" {
		if v := r.ofPattern(s.Pattern, name); v != "" {
			return v
		}
	}
	switch s.Format {
	case "date-time":
		return oneOf(r.dice, times...)
	case "date":
		return oneOf(r.dice, "2026-01-01", "2026-12-31", "2024-02-29", "0001-01-01", "9999-12-31", "0000-01-01")
	case "ip":
		return oneOf(r.dice, "10.20.30.40", "0.0.0.0", "255.255.255.255", "::", "::1", "fd12::40", "::ffff:10.0.0.1", "2001:db8:ffff:ffff:ffff:ffff:255.255.255.255")
	case "ip-prefix":
		return oneOf(r.dice, "10.0.0.0/8", "0.0.0.0/0", "::/0", "fd12::/16", "10.1.2.3", "10.1.2.3/32", "10.1.2.3/8", "2001:db8::1/128")
	}
	return r.text(shortest, longest)
}

// soundNumber is a number that a schema allows, often one of the ends.
func (r *draft) soundNumber(s *openapi3.Schema) float64 {
	least, most := 0.0, 1e6
	if s.Min != nil {
		least = *s.Min
	}
	if s.Max != nil {
		most = *s.Max
	}
	v := oneOf(r.dice, least, most, least+(most-least)*r.Float64())
	if s.Type.Is(openapi3.TypeInteger) {
		v = math.Floor(v)
	}
	return v
}

// soundValue is a value that a schema allows, but for what it says about combinations of members.
func (r *draft) soundValue(s *openapi3.Schema, name string) any {
	switch {
	case s.Type.Is(openapi3.TypeString):
		return r.soundText(s, name)
	case s.Type.Is(openapi3.TypeBoolean):
		return r.in(50)
	case s.Type.Is(openapi3.TypeInteger):
		return int64(r.soundNumber(s))
	case s.Type.Is(openapi3.TypeNumber):
		return r.soundNumber(s)
	case s.Type.Is(openapi3.TypeArray):
		list := []any{}
		for range r.length(s) {
			v := r.soundValue(s.Items.Value, name)
			if !s.UniqueItems || !slices.Contains(list, v) {
				list = append(list, v)
			}
		}
		return list
	case s.Type.Is(openapi3.TypeObject):
		object := map[string]any{}
		for _, member := range sortedNames(s.Properties) {
			if slices.Contains(s.Required, member) || r.in(40) {
				object[member] = r.soundValue(s.Properties[member].Value, member)
			}
		}
		companions(object, s)
		return object
	}
	panic("attack: no values are known for " + name)
}

// length is how many elements a list gets: few most of the time, as many as may be at times.
func (r *draft) length(s *openapi3.Schema) int {
	n := int(s.MinItems) + r.IntN(3)
	if s.MaxItems != nil {
		if r.in(5) {
			return int(*s.MaxItems)
		}
		n = min(n, int(*s.MaxItems))
	}
	return n
}

// companions leaves of secret and certificate the one that goes with the method, which the document says in words.
func companions(object map[string]any, s *openapi3.Schema) {
	if s.Properties["client_secret"] == nil {
		return
	}
	method, given := object["method"].(string)
	if !given {
		method = "client_secret"
	}
	for member, usual := range map[string]string{"client_secret": simSecret, "certificate": "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"} {
		switch {
		case method != member:
			delete(object, member)
		case object[member] == nil:
			object[member] = usual
		}
	}
}

// bodyValue is a body that the whole schema allows.
func (r *draft) bodyValue() any {
	for range 30 {
		v := r.soundValue(r.target.body, "")
		var plain any
		decodeInto(encoded(v), &plain)
		if r.target.body.VisitJSON(plain) == nil {
			return v
		}
	}
	panic("attack: no sound body was found for " + r.target.id)
}

// queryValues writes a parameter with values that its schema allows.
func (r *draft) queryValues(p *openapi3.Parameter) (pairs []string) {
	s := p.Schema.Value
	values := []any{}
	if s.Type.Is(openapi3.TypeArray) {
		for range max(1, r.length(s)) {
			values = append(values, r.soundValue(s.Items.Value, p.Name))
		}
	} else {
		values = append(values, r.soundValue(s, p.Name))
	}
	for _, v := range values {
		pairs = append(pairs, url.QueryEscape(p.Name)+"="+url.QueryEscape(wireText(v)))
	}
	return pairs
}

func encoded(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps, lists and plain values
	}
	return string(text)
}
