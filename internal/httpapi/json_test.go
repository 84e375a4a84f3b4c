package httpapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestHostileBodies sends what no client should. Nothing of it may be taken, and nothing may break.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := bodies["connectIntegration"]
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	cases := []struct{ name, body, code, pointer, field string }{
		{"empty", ``, api.CodeInvalidJSON, "", "invalid_format"},
		{"white space", ` `, api.CodeInvalidJSON, "", "invalid_format"},
		{"cut", good[:len(good)-1], api.CodeInvalidJSON, "", "invalid_format"},
		{"noise", `{nonsense`, api.CodeInvalidJSON, "", "invalid_format"},
		{"list", `[]`, api.CodeInvalidJSON, "", "wrong_type"},
		{"string", `"x"`, api.CodeInvalidJSON, "", "wrong_type"},
		{"null", `null`, api.CodeInvalidJSON, "", "wrong_type"},
		{"two values", good + `{}`, api.CodeInvalidJSON, "", "invalid_format"},
		{"trailing noise", good + `x`, api.CodeInvalidJSON, "", "invalid_format"},
		{"trailing comma", `{"type":"microsoft-defender",}`, api.CodeInvalidJSON, "", "invalid_format"},
		{"comment", `{/*x*/}`, api.CodeInvalidJSON, "", "invalid_format"},
		{"byte order mark", "\ufeff" + good, api.CodeInvalidJSON, "", "invalid_format"},
		{"repeated member", with(`"type":"microsoft-defender"`), api.CodeInvalidJSON, "/type", "repeated"},
		{"repeated member by escape", with(`"\u0074ype":"microsoft-defender"`), api.CodeInvalidJSON, "/type", "repeated"},
		{"repeated nested member", with(`"settings":{"max_age_days":1,"max_age_days":2}`), api.CodeInvalidJSON, "/settings/max_age_days", "repeated"},
		{"null member", with(`"name":null`), api.CodeInvalidRequest, "/name", "not_allowed"},
		{"NUL", with(`"name":"a\u0000b"`), api.CodeInvalidJSON, "/name", "invalid_format"},
		{"NUL byte", with("\"name\":\"a\x00b\""), api.CodeInvalidJSON, "/name", "invalid_format"},
		{"invalid UTF-8", with("\"name\":\"a\xffb\""), api.CodeInvalidJSON, "/name", "invalid_format"},
		{"lone surrogate", with(`"name":"\ud800"`), api.CodeInvalidJSON, "/name", "invalid_format"},
		{"deep", with(`"settings":` + strings.Repeat(`[`, 40) + strings.Repeat(`]`, 40)), api.CodeInvalidJSON, "", "too_large"},
		{"very deep", strings.Repeat(`{"a":`, 8000), api.CodeInvalidJSON, "", "too_large"},
		{"unknown member", with(`"nome":"x"`), api.CodeInvalidRequest, "/nome", "unknown_field"},
		{"member in another case", with(`"Name":"x"`), api.CodeInvalidRequest, "/Name", "unknown_field"},
		{"unknown nested member", with(`"settings":{"import_asset":true}`), api.CodeInvalidRequest, "/settings/import_asset", "unknown_field"},
		{"wrong type", with(`"name":7`), api.CodeInvalidRequest, "/name", "wrong_type"},
		{"wrong nested type", with(`"settings":{"import_assets":"true"}`), api.CodeInvalidRequest, "/settings/import_assets", "wrong_type"},
		{"fraction", with(`"settings":{"max_age_days":1.5}`), api.CodeInvalidRequest, "/settings/max_age_days", "wrong_type"},
		{"huge number", with(`"settings":{"max_age_days":1e400}`), api.CodeInvalidRequest, "/settings/max_age_days", "wrong_type"},
		{"list for object", with(`"settings":[]`), api.CodeInvalidRequest, "/settings", "wrong_type"},
		{"zero", with(`"schedule":{"interval_hours":0}`), api.CodeInvalidRequest, "/schedule/interval_hours", "too_small"},
		{"zero missing", with(`"schedule":{}`), api.CodeInvalidRequest, "/schedule/interval_hours", "required"},
		{"out of range", with(`"settings":{"max_age_days":181}`), api.CodeInvalidRequest, "/settings/max_age_days", "too_large"},
		{"below range", with(`"schedule":{"interval_hours":-1}`), api.CodeInvalidRequest, "/schedule/interval_hours", "too_small"},
		{"not in the list", with(`"settings":{"attack_vectors":["network","radio"]}`), api.CodeInvalidRequest, "/settings/attack_vectors/1", "not_allowed"},
		{"empty list", with(`"settings":{"attack_vectors":[]}`), api.CodeInvalidRequest, "/settings/attack_vectors", "too_few"},
		{"no prefix", with(`"settings":{"ip_deny":["10.0.0.0/8","10.0.0.0/99"]}`), api.CodeInvalidRequest, "/settings/ip_deny/1", "invalid_format"},
		{"empty name", with(`"name":""`), api.CodeInvalidRequest, "/name", "too_short"},
		{"long name", with(`"name":"` + strings.Repeat("ä", 101) + `"`), api.CodeInvalidRequest, "/name", "too_long"},
		{"control character", with(`"name":"a\nb"`), api.CodeInvalidRequest, "/name", "invalid_format"},
		{"blank name", with(`"name":" \u00a0"`), api.CodeInvalidRequest, "/name", "invalid_format"},
		{"zero width", with(`"name":"Cont\u200boso"`), api.CodeInvalidRequest, "/name", "invalid_format"},
		{"right to left", with(`"name":"\u202eosotnoC"`), api.CodeInvalidRequest, "/name", "invalid_format"},
		{"no time", strings.Replace(good, `"tenant_id"`, `"secret_expires_at":"tomorrow","tenant_id"`, 1), api.CodeInvalidRequest, "/credentials/secret_expires_at", "invalid_format"},
		{"empty certificate", strings.Replace(good, `"tenant_id"`, `"certificate":"","tenant_id"`, 1), api.CodeInvalidRequest, "/credentials/certificate", "too_short"},
		{"nothing required", `{}`, api.CodeInvalidRequest, "/type", "required"},
		{"hostile directory", strings.Replace(good, `0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10`, `../common`, 1), api.CodeInvalidRequest, "/credentials/tenant_id", "pattern"},
	}
	for _, c := range cases {
		client := h.checked()
		if c.name == "lone surrogate" { // JSON allows it and says that nobody may rely on it (RFC 8259, section 8.2)
			client = nil
		}
		got := h.send(raw{
			method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: c.body, client: client,
			header: map[string]string{"Content-Type": "application/json; charset=utf-8"},
		})
		if got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", c.name, got.status, got.body)
			continue
		}
		p := got.problem(t)
		found := slices.ContainsFunc(p.Errors, func(e api.FieldError) bool { return e.Pointer == c.pointer && e.Code == c.field && e.Detail != "" })
		if p.Code != c.code || !found {
			t.Errorf("%s: want %s at %q (%s), got %s", c.name, c.code, c.pointer, c.field, got.body)
		}
	}
	if page, err := h.admin().ListIntegrations(context.Background(), api.ListIntegrationsOptions{}); err != nil || len(page.Items) != 0 {
		t.Errorf("something was stored: %+v %v", page, err)
	}
}

func TestMediaTypesOfBodies(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	i := h.connect(h.mine)
	for _, c := range []struct {
		method, path, mediaType, encoding, body string
		want                                    int
	}{
		{http.MethodPatch, "/v1/integrations/" + i.ID, "application/merge-patch+json", "", `{"name":"a"}`, http.StatusOK},
		{http.MethodPatch, "/v1/integrations/" + i.ID, "application/json", "", `{"name":"a"}`, http.StatusOK},
		{http.MethodPatch, "/v1/integrations/" + i.ID, "application/json-patch+json", "", `[]`, http.StatusUnsupportedMediaType},
		{http.MethodPatch, "/v1/integrations/" + i.ID, "", "", `{"name":"a"}`, http.StatusUnsupportedMediaType},
		{http.MethodPatch, "/v1/integrations/" + i.ID, "application/json; charset=latin1", "", `{"name":"a"}`, http.StatusUnsupportedMediaType},
		{http.MethodPatch, "/v1/integrations/" + i.ID, "application/json", "gzip", `{"name":"a"}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/v1/api-keys", "application/merge-patch+json", "", `{"name":"a","role":"admin"}`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/v1/api-keys", "application/x-www-form-urlencoded", "", `name=a`, http.StatusUnsupportedMediaType},
		{http.MethodPost, "/v1/integrations/" + i.ID + "/runs", "", "", ``, http.StatusConflict}, // a body is optional here
	} {
		got := h.send(raw{
			method: c.method, path: c.path, key: h.mine.keys[tenant.Admin], body: c.body,
			header: map[string]string{"Content-Type": c.mediaType, "Content-Encoding": c.encoding},
		})
		if got.status != c.want {
			t.Errorf("%s %s %q: %d, want %d: %s", c.method, c.path, c.mediaType, got.status, c.want, got.body)
		}
	}
}

func TestQueryParametersAreChecked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	cases := map[string]struct{ parameter, code string }{
		"/v1/assets?nonsense=1":                      {"nonsense", "unknown_parameter"},
		"/v1/assets?Limit=1":                         {"Limit", "unknown_parameter"},
		"/v1/assets?limit=0":                         {"limit", "too_small"},
		"/v1/assets?limit=-5":                        {"limit", "too_small"},
		"/v1/assets?limit=ten":                       {"limit", "wrong_type"},
		"/v1/assets?limit=":                          {"limit", "wrong_type"},
		"/v1/assets?limit=1&limit=2":                 {"limit", "repeated"},
		"/v1/assets?sort=ip":                         {"sort", "not_allowed"},
		"/v1/assets?sort=--hostname":                 {"sort", "not_allowed"},
		"/v1/assets?state=gone":                      {"state", "not_allowed"},
		"/v1/assets?state=":                          {"state", "not_allowed"},
		"/v1/assets?surface=external":                {"surface", "not_allowed"},
		"/v1/assets?ip=10.0.0":                       {"ip", "invalid_format"},
		"/v1/assets?ip=fe80::1%25eth0":               {"ip", "invalid_format"},
		"/v1/assets?last_seen_gte=yesterday":         {"last_seen_gte", "invalid_format"},
		"/v1/assets?integration_id=run_1":            {"integration_id", "invalid_format"},
		"/v1/assets?hostname=":                       {"hostname", "too_short"},
		"/v1/assets?q=a":                             {"q", "too_short"},
		"/v1/assets?q=%FF%FE":                        {"q", "invalid_format"},
		"/v1/assets?q=a%00b":                         {"q", "invalid_format"},
		"/v1/assets?q=" + strings.Repeat("a", 101):   {"q", "too_long"},
		"/v1/assets?" + strings.Repeat("tag=a&", 21): {"tag", "too_many"},
		"/v1/vulnerabilities?epss_gte=1.5":           {"epss_gte", "too_large"},
		"/v1/vulnerabilities?epss_gte=.5":            {"epss_gte", "wrong_type"},
		"/v1/vulnerabilities?epss_gte=%2B0.5":        {"epss_gte", "wrong_type"},
		"/v1/vulnerabilities?epss_gte=0x1p-2":        {"epss_gte", "wrong_type"},
		"/v1/vulnerabilities?epss_gte=Inf":           {"epss_gte", "wrong_type"},
		"/v1/vulnerabilities?epss_gte=NaN":           {"epss_gte", "wrong_type"},
		"/v1/vulnerabilities?exploit=yes":            {"exploit", "wrong_type"},
		"/v1/findings?vulnerability_id=a%27b":        {"vulnerability_id", "invalid_format"},
		"/v1/findings?asset_id=ast_XYZ":              {"asset_id", "invalid_format"},
		"/v1/runs?trigger=magic":                     {"trigger", "not_allowed"},
		"/v1/integrations?type=other":                {"type", "not_allowed"},
		"/v1/tenant?tenant_id=1":                     {"tenant_id", "unknown_parameter"},
		"/v1/catalog/integrations?q=" + url101:       {"q", "too_long"},
	}
	for path, want := range cases {
		got := h.send(raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
		if got.status != http.StatusBadRequest {
			t.Errorf("%.60s: %d %s", path, got.status, got.body)
			continue
		}
		p := got.problem(t)
		if p.Code != api.CodeInvalidRequest || len(p.Errors) == 0 || p.Errors[0].Parameter != want.parameter || p.Errors[0].Code != want.code {
			t.Errorf("%.60s: want %v, got %s", path, want, got.body)
		}
	}
	for _, path := range []string{"/v1/assets?limit=9223372036854775807", "/v1/assets?limit=1001", "/v1/assets?last_seen_gte=2026-11-01T00:00:00%2B02:00"} {
		if got := h.send(raw{method: http.MethodGet, path: path, key: h.mine.keys[tenant.ReadOnly], client: h.checked()}); got.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	if got := h.send(raw{method: http.MethodGet, path: "/v1/assets?limit=99999999999999999999", key: h.mine.keys[tenant.ReadOnly]}); got.status != http.StatusOK {
		t.Errorf("a limit beyond any integer: %d", got.status) // the checker cannot read it
	}
	if got := h.send(raw{method: http.MethodGet, path: "/v1/assets?q=%zz", key: h.mine.keys[tenant.ReadOnly]}); got.status != http.StatusBadRequest {
		t.Errorf("broken escape: %d", got.status)
	}
}

var url101 = strings.Repeat("a", 101)
