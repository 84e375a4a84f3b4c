package httpapi_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	defenderspec "pgp.internal/defender"
	"pgp.internal/defender/internal/tenant"
)

// target is an operation with what the document says about its requests.
type target struct {
	operation
	parameters []*openapi3.Parameter
	body       *openapi3.Schema
	mediaTypes []string
	siblings   []string // the methods of the path
	lines      bool     // whether the list can be had as lines
}

func targets(t *testing.T) []*target {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(defenderspec.OpenAPI)
	must(t, err)
	var all []*target
	for _, op := range operations(t) {
		item := doc.Paths.Value(op.path)
		o := item.GetOperation(op.method)
		x := &target{operation: op, siblings: slices.Sorted(maps.Keys(item.Operations()))}
		for _, p := range slices.Concat(item.Parameters, o.Parameters) {
			x.parameters = append(x.parameters, p.Value)
		}
		if ok := o.Responses.Value("200"); ok != nil {
			x.lines = ok.Value.Content["application/x-ndjson"] != nil
		}
		if o.RequestBody != nil {
			x.mediaTypes = slices.Sorted(maps.Keys(o.RequestBody.Value.Content))
			x.body = o.RequestBody.Value.Content[x.mediaTypes[0]].Schema.Value
		}
		all = append(all, x)
	}
	return all
}

func (x *target) in(place string) (found []*openapi3.Parameter) {
	for _, p := range x.parameters {
		if p.In == place {
			found = append(found, p)
		}
	}
	return found
}

// attempt is one generated request and what is known about it.
type attempt struct {
	seed        uint64
	number      int
	target      *target
	method, uri string
	header      http.Header
	body        string
	by          credential
	flaws       []string // of dues; without any it must not be refused as malformed
	named       string   // everything of the request that an answer may repeat, in lower case
	offContract bool     // the contract's checker reads it otherwise than HTTP does
}

// String names the request such that it can be made again.
func (a attempt) String() string {
	return fmt.Sprintf("%s, ATTACK_SEED=%d number %d: %s %s as %s, wrong: %v, %v, body %q",
		a.target.id, a.seed, a.number, a.method, short(a.uri), a.by.name, a.flaws, briefly(a.header), short(a.body))
}

func briefly(h http.Header) map[string]string {
	out := map[string]string{}
	for name := range h {
		if name != "Authorization" {
			out[name] = fmt.Sprintf("%.80q", h[name])
		}
	}
	return out
}

// generator makes requests. The same seed, operation and number make the same request, as long as the arsenal is the same.
type generator struct{ *arsenal }

func (g generator) attempt(seed uint64, x *target, number int) attempt {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s %d", x.id, number) // documented never to fail
	r := &draft{dice: dice{rand.New(rand.NewPCG(seed, h.Sum64()))}, arsenal: g.arsenal, target: x, header: http.Header{}}
	r.sound()
	mistakes := 0
	switch p := r.IntN(100); {
	case p >= 85:
		mistakes = 2
	case p >= 40:
		mistakes = 1
	}
	for range mistakes {
		r.spoil()
	}
	return r.finish(seed, number)
}

// draft is a request in the making.
type draft struct {
	dice
	*arsenal
	target      *target
	path        string
	query       []string // as on the wire
	header      http.Header
	mediaType   string
	value       any // of the body
	body        string
	by          credential
	method      string
	flaws       []string
	offContract bool
	owner       side // of the id in the path
	cursor      string
	cursorOf    side
}

// sound makes everything as the document wants it. Ids may be another tenant's or nobody's, which is known as well.
func (r *draft) sound() {
	x := r.target
	r.method = x.method
	r.fillPath()
	for _, p := range x.in(openapi3.ParameterInQuery) {
		if p.Name == "cursor" || !p.Required && !r.in(35) {
			continue
		}
		r.query = append(r.query, r.queryValues(p)...)
	}
	r.soundCursor()
	for _, p := range x.in(openapi3.ParameterInHeader) {
		switch {
		case p.Name == "account":
		case p.Name == "Idempotency-Key":
			r.soundRepeat()
		case p.Required || r.in(20):
			r.header.Set(p.Name, oneOf(r.dice, "*", r.etag, `"99.000000000000000000000000"`, `W/"x", "y"`, "noise", `""`))
		}
	}
	if x.body != nil && (x.required || r.in(70)) {
		r.value = r.bodyValue()
		r.body = encoded(r.value)
		r.mediaType = oneOf(r.dice, x.mediaTypes...)
		if r.in(20) {
			r.mediaType += "; charset=utf-8"
		}
	}
	r.sign()
	if r.in(10) {
		r.header.Set("Accept", oneOf(r.dice, "*/*", "text/html", "application/x-ndjson", "application/x-ndjson;q=0.3, application/json", ";;;", "a/b;q=9", strings.Repeat("a/b,", 400)))
	}
	if r.in(10) {
		r.header.Set("X-Request-Id", oneOf(r.dice, "a-1", "x y", strings.Repeat("x", 300), `"><script>`, "%s%n", "${jndi:ldap://127.0.0.1/x}"))
	}
	if r.in(5) {
		r.header.Set(oneOf(r.dice, "X-Http-Method-Override", "X-Forwarded-For", "X-Tenant-Id", "X-Original-Url", "Range", "Forwarded"),
			oneOf(r.dice, "DELETE", "127.0.0.1", r.foreign.tenant, "/v1/tenants", "bytes=0-3"))
	}
}

// fillPath puts an id where the path has a place for one.
func (r *draft) fillPath() {
	whose := r.own
	_, ofTenant := r.target.at(r.own)
	r.owner = minesSide
	if strings.Contains(r.target.path, "{id}") || ofTenant {
		switch p := r.IntN(100); {
		case p < 12 && r.target.role != tenant.Platform:
			whose, r.owner = r.foreign, othersSide
		case p < 20:
			whose, r.owner = r.unknown, noSide
		}
	}
	r.path, _ = r.target.at(whose)
	if strings.Contains(r.target.path, "{cve}") && r.in(30) {
		r.path = strings.Replace(r.path, "CVE-", "cve-", 1)
	}
	for _, p := range r.target.in(openapi3.ParameterInPath) {
		if (p.Name == "type" || p.Name == "code") && r.in(40) {
			r.path = strings.Replace(r.target.path, "{"+p.Name+"}", url.PathEscape(r.text(1, 64)), 1)
			r.flaw("id")
			r.offContract = strings.Contains(r.path, "%2F") // where its router takes the path apart
		}
	}
}

// sign chooses who asks, and for which tenant.
func (r *draft) sign() {
	want := r.target.role
	usual := func(c credential) bool {
		return c.known() && c.account == "" && (want == "" && c.side == minesSide || want == tenant.Platform && c.role == tenant.Platform || want != tenant.Platform && c.side == minesSide && c.role.Includes(want))
	}
	r.by = oneOf(r.dice, r.credentials...)
	for !usual(r.by) && r.in(96) {
		r.by = oneOf(r.dice, r.credentials...)
	}
	switch {
	case r.by.header == " ":
	case r.by.header != "":
		r.header.Set("Authorization", r.by.header)
	default:
		r.header.Set("Authorization", oneOf(r.dice, "Bearer ", "bearer ")+r.by.text)
	}
	if r.by.account != "" {
		r.header.Set("account", r.by.account)
	}
	switch {
	case want == "":
	case !r.by.known():
		r.flaw("credential")
	case !r.by.role.Includes(want):
		r.flaw("role")
	}
	switch elsewhere := r.owner != r.by.side && want != tenant.Platform || r.owner == noSide; {
	case strings.Contains(r.target.path, "{id}") && elsewhere:
		r.flaw("id")
	case strings.Contains(r.target.path, "{cve}") && r.owner == noSide: // others may have the same one
		r.flaw("id")
	}
	r.soundAccount()
}

// soundRepeat names the request by a key that no other one has; once it is carried out the key is used again, see [fort.again].
func (r *draft) soundRepeat() {
	if r.in(60) {
		r.header.Set("Idempotency-Key", fmt.Sprintf("%s%x-%x", oneOf(r.dice, "", "W/", `"';--`, "%s${x}", strings.Repeat("k", 200)), r.Uint64(), r.Uint64()))
	}
}

// soundAccount names the credential's own tenant, which changes nothing.
func (r *draft) soundAccount() {
	for _, p := range r.target.in(openapi3.ParameterInHeader) {
		if p.Name == "account" && r.by.side == minesSide && r.in(20) {
			r.header.Set("account", oneOf(r.dice, "it@zqminezq.example", "IT@ZQMINEZQ.EXAMPLE"))
		}
	}
}

// soundCursor goes on with a list where somebody has left off, which only the same tenant can, without filters.
func (r *draft) soundCursor() {
	pair, has := r.cursors[r.target.path]
	if !has || r.target.method != http.MethodGet || r.in(85) {
		return
	}
	r.cursor, r.cursorOf = "cursor="+pair[0], minesSide
	if r.in(30) {
		r.cursor, r.cursorOf = "cursor="+pair[1], othersSide
	}
	r.query = []string{r.cursor}
}

func (r *draft) flaw(kind string) { r.flaws = append(r.flaws, kind) }

// finish puts the parts together.
func (r *draft) finish(seed uint64, number int) attempt {
	r.Shuffle(len(r.query), func(i, j int) { r.query[i], r.query[j] = r.query[j], r.query[i] })
	uri := r.path
	if len(r.query) > 0 {
		uri += "?" + strings.Join(r.query, "&")
	}
	if r.mediaType != "" {
		r.header.Set("Content-Type", r.mediaType)
	}
	r.lastFlaws(uri)
	named := uri + " " + r.body + " " + strings.Join(slices.Concat(slices.Collect(maps.Values(r.header))...), " ")
	return attempt{
		seed: seed, number: number, target: r.target, method: r.method, uri: uri, header: r.header, body: r.body, by: r.by, flaws: r.flaws,
		named: strings.ToLower(named), offContract: r.offContract,
	}
}

// lastFlaws are those that only the whole request shows.
func (r *draft) lastFlaws(uri string) {
	if r.cursor != "" && slices.Contains(r.query, r.cursor) && r.cursorOf != r.by.side {
		r.flaw("cursor")
	}
	paged := slices.ContainsFunc(r.query, func(q string) bool {
		return strings.HasPrefix(q, "cursor=") || strings.HasPrefix(q, "limit=") || strings.HasPrefix(q, "sort=")
	})
	if r.target.lines && paged && r.header.Get("Accept") == "application/x-ndjson" { // lines are the whole list, which the document says in words
		r.flaw("query")
		r.offContract = true
	}
	if u, err := url.Parse(uri); err == nil && len(u.Path)+len(u.RawQuery) > 8<<10 {
		r.flaws = []string{"long"} // nothing is looked at before
	}
}
