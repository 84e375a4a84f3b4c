package httpapi_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// dues are what can be wrong with a request, each with the statuses that it is due.
var dues = map[string][]int{
	"credential": {401},
	"role":       {403},
	"account":    {401, 403},
	"id":         {404, 422}, // a body is looked at before
	"cursor":     {400},
	"method":     {404, 405},
	"path":       {404, 405},
	"query":      {400},
	"header":     {400},
	"condition":  {404, 428}, // the object is looked for before
	"long":       {414},
	"body":       {400, 422}, // an expiry in the past is told before an id that is none
	"large":      {413},
	"media":      {415},
}

// spoil makes one mistake. Not every kind fits every operation: then it tries another one.
func (r *draft) spoil() {
	kinds := []func() bool{r.spoilAccount, r.spoilMethod, r.spoilPath, r.spoilQuery, r.spoilQuery, r.spoilHeader, r.spoilCondition, r.spoilLength, r.spoilMedia}
	if r.body != "" {
		kinds = append(kinds, r.spoilMember, r.spoilMember, r.spoilMember, r.spoilText, r.spoilText, r.spoilSize)
	}
	for !oneOf(r.dice, kinds...)() {
	}
}

func (r *draft) spoilAccount() bool {
	if len(r.target.in(openapi3.ParameterInHeader)) == 0 || r.target.role == "" || r.target.in(openapi3.ParameterInHeader)[0].Name != "account" {
		return false
	}
	other := "it@zqotherzq.example"
	switch {
	case r.by.account != "": // it is for both tenants
		other = "nobody@body.example"
	case r.by.side == othersSide:
		other = "it@zqminezq.example"
	}
	r.header.Set("account", oneOf(r.dice, other, "no@body.example", r.unknown.tenant, strings.Repeat("a", 254), "a@b, c@d", "';--"))
	r.flaw("account")
	return true
}

func (r *draft) spoilMethod() bool {
	if slices.Contains(r.flaws, "path") {
		return false
	}
	r.method = oneOf(r.dice, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodPost, http.MethodGet, http.MethodOptions, http.MethodTrace, "BREW", "get", "PROPFIND")
	if r.documentedElsewhere() {
		r.method = "BREW"
	}
	if r.method == http.MethodTrace { // which net/http sends without a body only
		r.body, r.mediaType = "", ""
	}
	r.flaws = []string{"method"}
	r.offContract = true // its router takes /v1/integrations for /v1/integrations/{id} with an empty one
	return true
}

// documentedElsewhere tells whether the path has the method after all.
func (r *draft) documentedElsewhere() bool { return slices.Contains(r.target.siblings, r.method) }

func (r *draft) spoilPath() bool {
	if slices.Contains(r.flaws, "method") {
		return false
	}
	r.path = oneOf(r.dice, r.path+"/", "/"+r.path, r.path+"/..", r.path+"%00", r.path+"/%2e%2e/x", r.path+";a=b", strings.ToUpper(r.path), r.path+"%2f", "/v2"+r.path, r.path+".json", r.path+"/x/y/z",
		strings.Replace(r.path, "/v1/", "/v1//", 1)+"/", r.path+"%20", r.path+"/%ff")
	r.query = nil // or it would be looked at first
	r.flaws = append(r.flaws, "path", "id")
	r.offContract = true // its router takes paths apart in another way
	return true
}

func (r *draft) spoilQuery() bool {
	parameters := r.target.in(openapi3.ParameterInQuery)
	if len(parameters) == 0 || r.in(25) {
		name := oneOf(r.dice, "nonsense", "tenant_id", "Limit", "limit[]", "__proto__", "sort[]", "%00", "a%20b", "", "%F0%9F%A7%A8", "state.", "$where")
		r.query = append(r.query, name+"="+url.QueryEscape(r.text(0, 20)))
		r.flaw("query")
		return true
	}
	p := oneOf(r.dice, parameters...)
	r.query = slices.DeleteFunc(r.query, func(pair string) bool { return strings.HasPrefix(pair, p.Name+"=") })
	bad := r.badValues(p)
	for _, v := range bad {
		r.query = append(r.query, p.Name+"="+v)
	}
	r.flaw("query")
	return true
}

// badValues are values of a parameter, as on the wire, that its schema does not allow.
func (r *draft) badValues(p *openapi3.Parameter) []string {
	s := p.Schema.Value
	item := s
	choices := [][]string{{"%ff%fe"}, {"a%00b"}, {"%zz"}}
	if s.Type.Is(openapi3.TypeArray) {
		item = s.Items.Value
		if s.MaxItems != nil {
			choices = append(choices, slices.Repeat([]string{url.QueryEscape(wireText(r.soundValue(item, p.Name)))}, int(*s.MaxItems)+1))
		}
	} else {
		again := url.QueryEscape(wireText(r.soundValue(s, p.Name)))
		choices = append(choices, []string{again, again})
	}
	for _, v := range r.badTexts(item) {
		choices = append(choices, []string{url.QueryEscape(v)})
	}
	return oneOf(r.dice, choices...)
}

// badTexts are texts that cannot be read as what the schema wants.
func (r *draft) badTexts(s *openapi3.Schema) (bad []string) {
	switch {
	case s.Type.Is(openapi3.TypeBoolean):
		return []string{"", "yes", "TRUE", "1", "true ", "null"}
	case s.Type.Is(openapi3.TypeInteger):
		return []string{"", "0", "-1", "1.5", "1e3", "0x10", "ten", " 1", "+1", "१", "1_000", "NaN", "-9223372036854775809"}
	case s.Type.Is(openapi3.TypeNumber):
		return []string{"", "-0.1", "1.0000001", "NaN", "Inf", "-Inf", "0x1p-2", "half", "1e400", "0,5"}
	case len(s.Enum) > 0:
		return []string{"", "nothing", strings.ToUpper(s.Enum[0].(string)), s.Enum[0].(string) + " ", "' OR 1=1--"}
	case s.Format == "date-time":
		return []string{"", "yesterday", "2026-11-01", "2026-11-01T00:00:00", "2026-13-01T00:00:00Z", "2026-02-30T00:00:00Z", "2026-11-01 00:00:00Z", "1793491200", "99999-01-01T00:00:00Z"}
	case s.Format == "date":
		return []string{"", "today", "2026-13-01", "2026-02-30", "2026-01-01T00:00:00Z", "1.1.2026", "20260101"}
	case s.Format == "ip-prefix":
		return []string{"", "x", "10.0.0.0/33", "10.0.0.0/-1", "fe80::1%eth0", "10.0.0/8", "::/129", "::ffff:10.0.0.1", "::ffff:10.0.0.0/104", "10.0.0.0/8/8", strings.Repeat("1", 50)}
	case s.Format == "ip":
		return []string{"", "10.0.0", "10.0.0.256", "fe80::1%eth0", "10.0.0.1/8", "::g", "localhost", "010.0.0.1"}
	case strings.Contains(s.Pattern, "_[0-9a-f]{32}"):
		return []string{"", "x", strings.ToUpper(r.own.asset), r.own.asset + "0", "' OR 1=1--", "ast_" + strings.Repeat("g", 32), "ast-" + strings.Repeat("0", 32)}
	}
	if s.Pattern != "" {
		bad = append(bad, "", "a", "a\nb", "CVE 1", "CVE-2026-1'", strings.Repeat("x", 65), "../x", "日本語")
	}
	if s.MinLength > 0 {
		bad = append(bad, strings.Repeat("x", int(s.MinLength)-1))
	}
	if s.MaxLength != nil {
		letter := "ä"
		if *s.MaxLength > 1000 { // or the body would be too large before
			letter = "x"
		}
		bad = append(bad, strings.Repeat(letter, int(*s.MaxLength)+1))
	}
	return bad
}

// spoilCondition leaves out the If-Match that the document demands.
func (r *draft) spoilCondition() bool {
	for _, p := range r.target.in(openapi3.ParameterInHeader) {
		if p.Name == "If-Match" && p.Required && !slices.Contains(r.flaws, "condition") {
			r.header.Del(p.Name)
			r.flaw("condition")
			return true
		}
	}
	return false
}

func (r *draft) spoilHeader() bool {
	if r.target.method != http.MethodGet && !r.target.answers("412") { // it would not be heeded
		r.header.Set("If-Match", oneOf(r.dice, "*", r.etag, "noise", ""))
		r.flaw("header")
		return true
	}
	for _, p := range r.target.in(openapi3.ParameterInHeader) {
		if p.Name != "account" && p.Schema.Value.MaxLength != nil {
			r.header.Set(p.Name, strings.Repeat("x", int(*p.Schema.Value.MaxLength)+1))
			r.flaw("header")
			return true
		}
	}
	return false
}

func (r *draft) spoilLength() bool {
	if r.in(80) { // rarely: it says the same everywhere
		return false
	}
	r.query = append(r.query, "long="+strings.Repeat("a", 9000))
	return true // finish sees it
}

func (r *draft) spoilMedia() bool {
	if r.body == "" {
		return false
	}
	r.mediaType = oneOf(r.dice, "", "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "application/json-patch+json", "json", "a/b/c", "*/*")
	if r.in(20) {
		r.mediaType = "application/json"
		r.header.Set("Content-Encoding", oneOf(r.dice, "gzip", "br", "deflate, gzip"))
	}
	r.flaw("media")
	r.offContract = true // its checker stops at the type
	return true
}

func (r *draft) spoilSize() bool {
	r.body = r.body[:len(r.body)-1] + strings.Repeat(" ", 70_000) + "}"
	r.flaw("large")
	return true
}

func sortedNames(s openapi3.Schemas) []string { return slices.Sorted(maps.Keys(s)) }

// decodeInto reads JSON that this test has written.
func decodeInto(text string, v any) {
	if err := json.Unmarshal([]byte(text), v); err != nil {
		panic(err)
	}
}

// wireText writes a value as it stands in a query.
func wireText(v any) string {
	if text, ok := v.(string); ok {
		return text
	}
	return encoded(v)
}
