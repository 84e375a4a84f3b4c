package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/tenant"
)

// mustBeTold wants an error to be a fault of the caller with one of the codes, told in printable JSON.
func mustBeTold(t *testing.T, err error, codes ...string) {
	t.Helper()
	var f *fault.Error
	if !errors.As(err, &f) || !slices.Contains(codes, f.Code) {
		t.Fatalf("refused with %v, want one of %v", err, codes)
	}
	text, err := encode(problemOf(f, http.StatusBadRequest, httptest.NewRequest(http.MethodGet, "/", nil), &exchange{}))
	if err != nil || !json.Valid(text) || bytes.ContainsRune(text, 0) || !utf8.Valid(text) {
		t.Errorf("cannot be told: %v %q", err, text)
	}
	for _, field := range f.Fields {
		if field.Code == "" || field.Detail == "" {
			t.Errorf("not explained: %+v", field)
		}
	}
}

// reads decodes a body, and holds what is accepted against the standard library's reading of it.
func reads[T any](t *testing.T, body []byte) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
	r.Header.Set("Content-Type", mediaJSON)
	var v T
	if err := decode(r, &v); err != nil {
		mustBeTold(t, err, fault.CodeInvalidJSON, fault.CodeInvalidRequest)
		return
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil || members == nil || !utf8.Valid(body) {
		t.Fatalf("accepted what is no object: %v", err)
	}
	var again T
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&again); err != nil {
		t.Errorf("the standard library refuses it: %v", err)
	}
}

// FuzzBodies reads any bytes as the body of each kind of request.
func FuzzBodies(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", "[]", `{"name":"x"}`, `{"name":"x","name":"y"}`, `{"name":"\u0000"}`, `{"name":"\ud800"}`, "{\"name\":\"\xff\"}", `{"settings":{"max_age_days":1e400}}`, `{"settings":{"max_age_days":1.0}}`,
		`{"type":"microsoft-defender","credentials":{"client_id":"5f0c7d1e-1b1a-4c55-9d3a-0f6c2f6f4b11","client_secret":"0123456789abcdef","tenant_id":"0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10","secret_expires_at":"2027-11-01T00:00:00Z"}}`,
		`{"mode":"full","dry_run":true,"settings":{"ip_deny":["10.0.0.0/8"],"attack_vectors":["network"]}}`, `{"internal_assessments":true,"max_assets":1,"valid_from":"2026-01-01"}`, strings.Repeat(`{"a":`, 40),
		`{"schedule":{"interval_hours":24}}`, `{"role":"admin","name":"k","expires_at":"9999-12-31T23:59:59-14:00"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		reads[api.ConnectRequest](t, body)
		reads[api.IntegrationPatch](t, body)
		reads[api.RotateSecretRequest](t, body)
		reads[api.StartRunRequest](t, body)
		reads[api.EntitlementsInput](t, body)
		reads[api.CreateAPIKeyRequest](t, body)
	})
}

// FuzzQueries reads any text as the parameters of a list.
func FuzzQueries(f *testing.F) {
	for _, text := range []string{
		"", "limit=1", "limit=0", "limit=99999999999999999999", "limit=+1", "limit=1&limit=2", "q=%zz", "q=%00", "q=%ff", "fraction=NaN", "fraction=0x1p-2", "fraction=1e-400", "time=9999-12-31T23:59:59-14:00", "time=2026-11-01T00:00:00Z",
		"id=ast_019a9b6e2f4d7c118a6b0e5d3c2f1a90", "ip=::1", "ip=fe80::1%25eth0", "sort=-severity", "sort=--severity", "flag=true", "vuln=CVE-2026-21412", "a;b", "%", "&&&", "=",
	} {
		f.Add(text)
	}
	known := []string{"limit", "q", "flag", "time", "fraction", "id", "ip", "vuln", "sort", "names"}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		if err := checkQuery(r, known); err != nil {
			mustBeTold(t, err, fault.CodeInvalidRequest)
			return
		}
		p := readQuery(r)
		limit, text, at, fraction := p.limit(), p.text("q", 2, 100), p.time("time"), p.fraction("fraction")
		names, addresses, sort := p.texts("names", 50), p.addresses("ip"), p.sorting([]string{"severity", "id"}, "severity", "severity")
		p.flag("flag")
		p.ids("id", assetPrefix)
		p.vulnerabilities("vuln")
		if err := p.err(); err != nil {
			mustBeTold(t, err, fault.CodeInvalidRequest)
			return
		}
		if limit < 1 || limit > maxLimit || !(fraction >= 0 && fraction <= 1) || utf8.RuneCountInString(text) > 100 || strings.ContainsRune(text, 0) || len(names) > maxRepeats || len(addresses) > maxRepeats {
			t.Errorf("limit %d, fraction %v, text %q, %d names", limit, fraction, text, len(names))
		}
		if at.Location() != time.UTC || sort.Key != "severity" && sort.Key != "id" {
			t.Errorf("time %v, sort %+v", at, sort)
		}
	})
}

// FuzzCursors takes any text for a cursor. Only the one that was made is accepted.
func FuzzCursors(f *testing.F) {
	c := cursors{key: bytes.Repeat([]byte("k"), 32), now: func() time.Time { return time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC) }}
	page := httptest.NewRequest(http.MethodGet, "/v1/assets?sort=hostname", nil)
	made, err := c.write(page, 7, inventory.Position{"a", "b"})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{made, "", "!", made[:10], made + "A", made + "=", strings.ToUpper(made), strings.Repeat("A", 3000)} {
		f.Add(text, uint16(7))
	}
	f.Add(made, uint16(8))
	f.Fuzz(func(t *testing.T, text string, id uint16) {
		r := httptest.NewRequest(http.MethodGet, "/v1/assets?sort=hostname&cursor="+url.QueryEscape(text), nil)
		position, err := c.read(r, tenant.ID(id))
		if good := text == made && id == 7; good != (err == nil) {
			t.Errorf("%q of tenant %d: %v %v", text, id, position, err)
		} else if err != nil {
			mustBeTold(t, err, fault.CodeInvalidCursor)
		}
	})
}

// FuzzIDs takes any text for an id. What is one has no other spelling.
func FuzzIDs(f *testing.F) {
	for _, text := range []string{"", "ast_019a9b6e2f4d7c118a6b0e5d3c2f1a90", "fnd_019a9b6e2f4d7c118a6b0e5d3c2f1a90_7fffffff", "fnd_019a9b6e2f4d7c118a6b0e5d3c2f1a90_01", "ast_019A9b6e2f4d7c118a6b0e5d3c2f1a90", "fnd__"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := parseID(assetPrefix, text); ok && assetID(id) != text {
			t.Errorf("%q is %s", text, assetID(id))
		}
		if asset, vulnID, ok := parseFindingID(text); ok && findingID(asset, vulnID) != text {
			t.Errorf("%q is %s", text, findingID(asset, vulnID))
		}
	})
}

// FuzzHeaders takes any text for the headers that are read here.
func FuzzHeaders(f *testing.F) {
	for _, text := range []string{"", "*", `"7.884c7d659f86d081884c7d65"`, `W/"x", "y"`, "application/x-ndjson;q=0.3, application/json", ";;;", "a/b;q=", "Bearer x", "a/b;q=1e999", "/", "a/", "a/b/c;q", strings.Repeat("a/b,", 300)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		for _, name := range []string{"If-Match", "If-None-Match", "Accept", "Authorization", "Account", "X-Request-Id", "Content-Type"} {
			r.Header.Set(name, text)
		}
		wantsLines(r)
		noneMatch(r, `"7.884c7d659f86d081884c7d65"`)
		if versionOf(text, uuid.Nil) < 0 {
			t.Errorf("%q has version %d", text, versionOf(text, uuid.Nil))
		}
		if id := requestID(r); len(id) > 64 || strings.ContainsAny(id, "\r\n\" ") {
			t.Errorf("the request is called %q", id)
		}
		if err := checkMediaType(r, []string{mediaJSON}); err != nil {
			mustBeTold(t, err, fault.CodeUnsupportedMedia)
		}
		if account, err := accountHeader(r); err == nil && account != strings.TrimSpace(text) {
			t.Errorf("the account of %q is %q", text, account)
		}
	})
}
