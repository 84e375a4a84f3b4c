package httpapi_test

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// TestMessagesSayWhatWouldDo reads what a caller reads.
func TestMessagesSayWhatWouldDo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := strings.TrimSuffix(bodies["connectIntegration"], "}")
	for member, want := range map[string]string{
		`"schedule":{"interval_hours":0}`:           "Must be from 1 to 168.",
		`"schedule":{}`:                             "Must be given, from 1 to 168.",
		`"schedule":{"interval_hours":169}`:         "Must be from 1 to 168.",
		`"settings":{"max_age_days":0}`:             "Must be from 1 to 180.",
		`"name":""`:                                 "Must not be empty.",
		`"settings":{"tags_include":["a",""]}`:      "Must not be empty.",
		`"settings":{"attack_vectors":[]}`:          "Must not be empty.",
		`"name":"` + strings.Repeat("a", 101) + `"`: "Must have at most 100 characters.",
	} {
		p := h.post("/v1/integrations", good+","+member+"}").problem(t)
		if len(p.Errors) != 1 || p.Errors[0].Detail != want {
			t.Errorf("%s: %+v, not %q", member, p.Errors, want)
		}
	}
	p := h.send(raw{method: http.MethodGet, path: "/v1/assets?limit=1;foo=2", key: h.mine.keys[tenant.Admin]}).problem(t)
	if strings.Contains(p.Detail, "under errors") || !strings.Contains(p.Detail, "&") || p.Status != http.StatusBadRequest {
		t.Errorf("an unreadable query: %s", p.Detail)
	}
	if p := h.send(raw{method: http.MethodGet, path: "/v1/assets?hostname=", key: h.mine.keys[tenant.Admin]}).problem(t); p.Errors[0].Detail != "Must not be empty." {
		t.Errorf("an empty parameter: %+v", p.Errors)
	}
	if p := h.send(raw{method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin]}).problem(t); p.Detail != "A JSON body is required." {
		t.Errorf("no body: %s", p.Detail)
	}
}

func (h *house) post(path, body string) answered {
	return h.send(raw{
		method: http.MethodPost, path: path, key: h.mine.keys[tenant.Admin], body: body, header: map[string]string{"Content-Type": "application/json"},
	})
}

// TestEverythingThatIsWrongIsTold mixes nulls, members that do not fit and values that break rules.
func TestEverythingThatIsWrongIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := strings.TrimSuffix(bodies["connectIntegration"], "}")
	const null, wrong, unknown = "not_allowed", "wrong_type", "unknown_field"
	for name, c := range map[string]struct {
		patch bool
		body  string
		want  map[string]string
	}{
		"misfits": {false, good + `,"name":7,"nome":"x","settings":{"import_assets":"yes","max_age_days":1.5,"tags_include":["a",1],"odd":{"a":1}},"schedule":[]}`,
			map[string]string{"/name": wrong, "/nome": unknown, "/settings/import_assets": wrong, "/settings/max_age_days": wrong,
				"/settings/tags_include/1": wrong, "/settings/odd": unknown, "/schedule": wrong}},
		"nulls": {true, `{"name":null,"settings":{"max_age_days":null,"tags_include":["a",null,null]},"schedule":{"interval_hours":null}}`,
			map[string]string{"/name": null, "/settings/max_age_days": null, "/settings/tags_include/1": null, "/settings/tags_include/2": null, "/schedule/interval_hours": null}},
		"all kinds in a patch": {true, `{"nome":"x","name":"","settings":{"import_assets":1,"max_age_days":181,"require_fqdn":null},"schedule":{"interval_hours":0,"odd":1}}`,
			map[string]string{"/nome": unknown, "/name": "too_short", "/settings/import_assets": wrong, "/settings/max_age_days": "too_large",
				"/settings/require_fqdn": null, "/schedule/interval_hours": "too_small", "/schedule/odd": unknown}},
		"all kinds in a connection": {false, `{"type":"other","credentials":{"tenant_id":null,"client_id":7},"nome":"x"}`,
			map[string]string{"/type": null, "/credentials/tenant_id": null, "/credentials/client_id": wrong, "/credentials/client_secret": "required", "/nome": unknown}},
		"what was taken out is not missed": {false, `{"type":null,"credentials":"x"}`, map[string]string{"/type": null, "/credentials": wrong}},
	} {
		request := raw{method: http.MethodPost, path: "/v1/integrations", key: h.mine.keys[tenant.Admin], body: c.body, header: map[string]string{"Content-Type": "application/json"}}
		if c.patch {
			request.method, request.path = http.MethodPatch, "/v1/integrations/"+nobodys.integration
		}
		p := h.send(request).problem(t)
		got := map[string]string{}
		for _, e := range p.Errors {
			got[e.Pointer] = e.Code
			if strings.Contains(c.body, "null") && e.Code == null && e.Pointer != "/type" && e.Detail != "Must not be null: give it a value, or leave it out." {
				t.Errorf("%s: %s: %s", name, e.Pointer, e.Detail)
			}
		}
		if !maps.Equal(got, c.want) || p.Status != http.StatusBadRequest || p.Code != fault.CodeInvalidRequest || !strings.HasPrefix(p.Detail, strconv.Itoa(len(c.want))+" values") {
			t.Errorf("%s: %s: %v", name, p.Detail, got)
		}
	}
}

func TestNotEveryNullOfThousandsIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.post("/v1/api-keys", `{"name":[`+strings.Repeat("null,", 5000)+`null]}`).problem(t)
	if len(p.Errors) != 20 || p.Code != fault.CodeInvalidRequest {
		t.Errorf("%s: %d errors", p.Code, len(p.Errors))
	}
}

func TestASecretIDIsExplainedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.post("/v1/integrations", `{"type":"microsoft-defender","credentials":{"tenant_id":"0c8a6a52-8f0e-4b8c-9a55-3f6d2d4a9e10",`+
		`"client_id":"0b9d6c7e-61f4-4f0e-8d3a-2c7b5e9f1a01","client_secret":"3f2504e0-4f89-41d3-9a0c-0305e82c3301"}}`).problem(t)
	if p.Code != api.CodeSecretIDPasted || strings.Count(p.Detail, "Certificates & secrets") != 1 || strings.Count(p.Detail, "Value column") != 1 {
		t.Errorf("%s: %s", p.Code, p.Detail)
	}
}

func TestHeadIsGetWithoutTheBody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key := h.mine.keys[tenant.ReadOnly]
	for path, want := range map[string]int{
		"/v1/assets": http.StatusOK, "/v1/version": http.StatusOK, "/docs": http.StatusOK, "/v1/assets?limit=x": http.StatusBadRequest,
		"/v1/assets/" + nobodys.asset: http.StatusNotFound,
	} {
		head := h.send(raw{method: http.MethodHead, path: path, key: key, header: map[string]string{"Accept": "application/x-ndjson"}})
		get := h.send(raw{method: http.MethodGet, path: path, key: key})
		if head.status != want || get.status != want || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("%s: HEAD %d %v %q, GET %d %v", path, head.status, head.header, head.body, get.status, get.header)
		}
	}
	if got := h.send(raw{method: http.MethodHead, path: "/v1/assets"}); got.status != http.StatusUnauthorized {
		t.Errorf("without a key: %d", got.status)
	}
	if got := h.send(raw{method: http.MethodHead, path: "/v1/integrations/" + nobodys.integration + "/validate", key: key}); got.status != http.StatusMethodNotAllowed {
		t.Errorf("HEAD where there is no GET: %d", got.status)
	}
}
