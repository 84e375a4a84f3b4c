package contract_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"pgp.internal/defender/internal/contract"
)

// report collects breaches instead of failing.
type report struct{ breaches []string }

func (*report) Helper() {}

func (r *report) Errorf(format string, args ...any) {
	r.breaches = append(r.breaches, fmt.Sprintf(format, args...))
}

func (r *report) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

type reply struct {
	status int
	header map[string]string
	body   string
}

const (
	jsonType    = "application/json"
	problemType = "application/problem+json"
	tenantBody  = `{"id":"tnt_019a1b2c3d4e7f508a9b0c1d2e3f4a5b","name":"Contoso Ltd","state":"active","created_at":"2026-10-01T08:00:00Z","updated_at":"2026-10-01T08:00:00Z"}`
	emptyPage   = `{"items":[]}`
	keyBody     = `{"id":"key_019a8c7d6e5f7a4b8c9d0e1f2a3b4c5d","name":"x","role":"admin","created_at":"2026-11-02T09:30:00Z","expires_at":"2027-05-01T00:00:00Z","secret":"EXAMPLE-api-key-shown-once"}`
)

func ok(body string) reply { return reply{status: 200, body: body} }

func problem(status int, code string) reply {
	return reply{status: status, header: map[string]string{"Content-Type": problemType}, body: fmt.Sprintf(
		`{"type":"/problems/%s","title":"t","status":%d,"detail":"d","code":%q,"acts":"caller","request_id":"r1"}`, code, status, code)}
}

func (r reply) with(name, value string) reply {
	header := map[string]string{name: value}
	for k, v := range r.header {
		if k != name {
			header[k] = v
		}
	}
	r.header = header
	return r
}

// exchange sends one request through a Contract to a server that gives the reply, and returns the breaches.
func exchange(t *testing.T, method, target, body string, header map[string]string, answer reply, opts ...contract.Option) []string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			t.Errorf("the server got the body %q (%v), want %q", got, err, body)
		}
		w.Header().Set("X-Request-Id", "r1")
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Content-Type", jsonType)
		for name, value := range answer.header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.body)
	}))
	defer server.Close()
	var r report
	client := http.Client{Transport: contract.New(&r, opts...).Transport(nil), CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer key")
	if body != "" {
		req.Header.Set("Content-Type", jsonType)
	}
	for name, value := range header {
		req.Header.Set(name, value)
		if value == "" {
			req.Header.Del(name)
		}
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if got, err := io.ReadAll(resp.Body); err != nil || string(got) != answer.body {
		t.Errorf("the client got the body %q (%v), want %q", got, err, answer.body)
	}
	return r.breaches
}

func TestResponses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		target string
		reply  reply
		breach string // part of what is reported; empty: nothing is
	}{
		"as documented":           {"/v1/tenant", ok(tenantBody), ""},
		"charset":                 {"/v1/tenant", ok(tenantBody).with("Content-Type", "application/json; charset=utf-8"), ""},
		"member missing":          {"/v1/tenant", ok(strings.Replace(tenantBody, `"name":"Contoso Ltd",`, "", 1)), `property "name" is missing`},
		"member not documented":   {"/v1/tenant", ok(strings.Replace(tenantBody, "{", `{"password":"x",`, 1)), "password"},
		"null":                    {"/v1/tenant", ok(strings.Replace(tenantBody, `"Contoso Ltd"`, "null", 1)), "Value is not nullable"},
		"unknown word":            {"/v1/tenant", ok(strings.Replace(tenantBody, `"active"`, `"asleep"`, 1)), "allowed values"},
		"bad id":                  {"/v1/tenant", ok(strings.Replace(tenantBody, "tnt_", "int_", 1)), "regular expression"},
		"time not in UTC":         {"/v1/tenant", ok(strings.Replace(tenantBody, "08:00:00Z", "10:00:00+02:00", 1)), "not in UTC"},
		"list is null":            {"/v1/assets", ok(`{"items":null}`), "Value is not nullable"},
		"status not documented":   {"/v1/tenant", reply{status: 202, body: tenantBody}, "status is not"},
		"redirect not documented": {"/v1/tenant", reply{status: 308, header: map[string]string{"Location": "/x"}}, "not documented"},
		"304 not documented":      {"/v1/tenant", reply{status: 304}, "not documented"},
		"304 without tag":         {"/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", reply{status: 304}, "304 without ETag"},
		"304 with tag":            {"/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", reply{status: 304}.with("ETag", `"1.a"`), ""},
		"other tag in body":       {"/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", ok(`{"etag":"\"1.b\""}`).with("ETag", `"1.a"`), "in the header"},
		"error not documented":    {"/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", problem(422, "x"), "not documented"},
		"wrong media type":        {"/v1/tenant", ok(tenantBody).with("Content-Type", "text/plain"), "Content-Type"},
		"header missing":          {"/v1/tenant", problem(401, "unauthenticated"), "WWW-Authenticate"},
		"header there":            {"/v1/tenant", problem(401, "unauthenticated").with("WWW-Authenticate", "Bearer"), ""},
		"header malformed":        {"/v1/tenant", problem(503, "unavailable").with("Retry-After", "soon"), "Retry-After"},
		"request id missing":      {"/v1/tenant", ok(tenantBody).with("X-Request-Id", ""), "X-Request-Id is missing"},
		"may be cached":           {"/v1/tenant", ok(tenantBody).with("Cache-Control", "max-age=60"), "no-store"},
		"error as JSON":           {"/v1/tenant", problem(500, "internal").with("Content-Type", jsonType), "no problem document"},
		"other status in problem": {"/v1/tenant", reply{500, map[string]string{"Content-Type": problemType}, problem(501, "internal").body}, "says status 501"},
		"other request in it":     {"/v1/tenant", problem(500, "internal").with("X-Request-Id", "r2"), `request "r1"`},
		"page":                    {"/docs", ok("<!doctype html>").with("Content-Type", "text/html; charset=utf-8"), ""},
		"empty page":              {"/docs", ok("").with("Content-Type", "text/html"), "the page is empty"},
		"page of another type":    {"/docs", ok("{}"), "text/html is documented"},
		"unknown path":            {"/v1/nothing", problem(404, "not_found"), ""},
		"unknown path found":      {"/v1/nothing", ok("{}"), "no such operation"},
		"unknown path, no detail": {"/v1/nothing", reply{404, map[string]string{"Content-Type": problemType}, `{"type":"/problems/not_found","status":404,"code":"not_found","acts":"caller","request_id":"r1"}`}, `"title" is missing`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, exchange(t, http.MethodGet, c.target, "", nil, c.reply), c.breach)
		})
	}
}

func TestRequests(t *testing.T) {
	t.Parallel()
	const (
		accepted = "the document forbids this request"
		refused  = "calls it malformed"
		key      = `{"name":"x","role":"admin"}`
	)
	created := reply{201, map[string]string{"Location": "/v1/api-keys/x"}, keyBody}
	malformed := problem(400, "invalid_request")
	for name, c := range map[string]struct {
		method, target, body string
		header               map[string]string
		reply                reply
		breach               string
	}{
		"allowed, accepted":        {"GET", "/v1/assets?limit=5&state=active&state=stale", "", nil, ok(emptyPage), ""},
		"allowed, refused":         {"GET", "/v1/assets?limit=5", "", nil, malformed, refused},
		"allowed, stale cursor":    {"GET", "/v1/assets?cursor=abc", "", nil, problem(400, "invalid_cursor"), ""},
		"forbidden, refused":       {"GET", "/v1/assets?limit=0", "", nil, malformed, ""},
		"limit too small":          {"GET", "/v1/assets?limit=0", "", nil, ok(emptyPage), accepted},
		"limit beyond the most":    {"GET", "/v1/assets?limit=99999999999", "", nil, ok(emptyPage), ""},
		"limit empty":              {"GET", "/v1/assets?limit=", "", nil, ok(emptyPage), accepted},
		"limit repeated":           {"GET", "/v1/assets?limit=5&limit=6", "", nil, ok(emptyPage), accepted},
		"parameter unknown":        {"GET", "/v1/assets?sorted=x", "", nil, ok(emptyPage), accepted},
		"parameter unknown, open":  {"GET", "/v1/version?x=1", "", nil, ok(`{"version":"1","revision":"","api":"v1"}`), accepted},
		"word unknown":             {"GET", "/v1/assets?state=asleep", "", nil, ok(emptyPage), accepted},
		"second word unknown":      {"GET", "/v1/assets?state=active&state=asleep", "", nil, ok(emptyPage), accepted},
		"no time":                  {"GET", "/v1/assets?last_seen_gte=yesterday", "", nil, ok(emptyPage), accepted},
		"time with offset":         {"GET", "/v1/assets?last_seen_gte=2026-11-01T00:00:00%2B02:00", "", nil, ok(emptyPage), ""},
		"no address":               {"GET", "/v1/assets?ip=10.0.0.0/8", "", nil, ok(emptyPage), accepted},
		"boolean as number":        {"GET", "/v1/vulnerabilities?exploit=1", "", nil, ok(emptyPage), accepted},
		"NUL":                      {"GET", "/v1/assets?q=a%00b", "", nil, ok(emptyPage), accepted},
		"no UTF-8":                 {"GET", "/v1/assets?q=a%ffb", "", nil, ok(emptyPage), accepted},
		"no key":                   {"GET", "/v1/assets", "", map[string]string{"Authorization": ""}, ok(emptyPage), accepted},
		"another scheme":           {"GET", "/v1/assets", "", map[string]string{"Authorization": "Basic eA=="}, ok(emptyPage), accepted},
		"body allowed":             {"POST", "/v1/api-keys", key, nil, created, ""},
		"body allowed, refused":    {"POST", "/v1/api-keys", key, nil, malformed, refused},
		"body missing":             {"POST", "/v1/api-keys", "", nil, created, accepted},
		"member missing":           {"POST", "/v1/api-keys", `{"name":"x"}`, nil, created, accepted},
		"member unknown":           {"POST", "/v1/api-keys", `{"name":"x","role":"admin","id":"y"}`, nil, created, accepted},
		"member unknown, refused":  {"POST", "/v1/api-keys", `{"name":"x","role":"admin","id":"y"}`, nil, malformed, ""},
		"member repeated":          {"POST", "/v1/api-keys", `{"name":"x","role":"readonly","role":"admin"}`, nil, created, accepted},
		"member null":              {"POST", "/v1/api-keys", `{"name":"x","role":"admin","expires_at":null}`, nil, created, accepted},
		"control character":        {"POST", "/v1/api-keys", `{"name":"x\u0007","role":"admin"}`, nil, created, accepted},
		"member repeated deep":     {"POST", "/v1/integrations", `{"type":"microsoft-defender","credentials":{"client_id":"5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11","client_secret":"a","client_secret":"b","tenant_id":"0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10"}}`, nil, reply{status: 304}, accepted},
		"no UTF-8 in body":         {"POST", "/v1/api-keys", "{\"name\":\"x\xff\",\"role\":\"admin\"}", nil, created, accepted},
		"no UUID":                  {"POST", "/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01/rotate-secret", `{"client_secret":"a","client_id":"b"}`, nil, reply{status: 304}, accepted},
		"no prefix":                {"PATCH", "/v1/integrations/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", `{"settings":{"ip_deny":["10.0.0.0/33"]}}`, nil, reply{status: 304}, accepted},
		"trailing data":            {"POST", "/v1/api-keys", key + `{}`, nil, created, accepted},
		"trailing data, refused":   {"POST", "/v1/api-keys", key + `{}`, nil, problem(400, "invalid_json"), ""},
		"not JSON":                 {"POST", "/v1/api-keys", `{"name":`, nil, created, accepted},
		"another media type":       {"POST", "/v1/api-keys", key, map[string]string{"Content-Type": "text/plain"}, created, accepted},
		"another type, refused":    {"POST", "/v1/api-keys", key, map[string]string{"Content-Type": "text/plain"}, problem(415, "unsupported_media_type"), ""},
		"id of another kind":       {"GET", "/v1/runs/int_019a9b6d10f27a3c9e4b5d6c7f8a9b01", "", nil, problem(404, "not_found"), ""},
		"condition unheeded":       {"POST", "/v1/api-keys", key, map[string]string{"If-Match": "*"}, created, accepted},
		"condition refused":        {"POST", "/v1/api-keys", key, map[string]string{"If-Match": "*"}, malformed, ""},
		"method unknown":           {"PUT", "/v1/tenant", "", nil, problem(405, "method_not_allowed").with("Allow", "GET"), ""},
		"method unknown, no Allow": {"PUT", "/v1/tenant", "", nil, problem(405, "method_not_allowed"), "405 without Allow"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			expect(t, exchange(t, c.method, c.target, c.body, c.header, c.reply), c.breach)
		})
	}
}

func expect(t *testing.T, breaches []string, want string) {
	t.Helper()
	all := strings.Join(breaches, "\n")
	if (want == "") != (all == "") || !strings.Contains(all, want) {
		t.Errorf("reported %q, want %q", all, want)
	}
}

func TestFurtherCodesMayRefuseAllowedRequests(t *testing.T) {
	t.Parallel()
	refusal := problem(400, "odd_name")
	expect(t, exchange(t, "GET", "/v1/assets", "", nil, refusal), "calls it malformed")
	expect(t, exchange(t, "GET", "/v1/assets", "", nil, refusal, contract.Allow400("odd_name")), "")
}

func TestCoverageNamesWhatWasNotSeen(t *testing.T) {
	t.Parallel()
	seen := contract.NewCoverage()
	expect(t, exchange(t, "GET", "/v1/tenant", "", nil, ok(tenantBody), contract.RecordIn(seen)), "")
	expect(t, exchange(t, "GET", "/v1/tenant", "", nil, problem(500, "internal"), contract.RecordIn(seen)), "")
	r, err := seen.Report(503)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Seen) != 2 || r.Seen[0] != (contract.Case{Operation: "getTenant", Status: 200}) || r.Seen[1].Status != 500 {
		t.Errorf("seen %v", r.Seen)
	}
	if r.Complete() || !strings.Contains(r.String(), "\n  not seen: getTenant 401\n") || strings.Contains(r.String(), " 503") {
		t.Errorf("report:\n%s", r)
	}
	operations, err := contract.Operations()
	if err != nil {
		t.Fatal(err)
	}
	if len(operations) != 51 {
		t.Errorf("%d operations", len(operations))
	}
}
