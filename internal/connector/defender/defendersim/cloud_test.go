package defendersim_test

import (
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// as asks under a host name of Microsoft's.
func (h *harness) as(host, path string) answer {
	h.t.Helper()
	r := h.request("GET", path, "")
	r.Host = host
	return h.do(r)
}

func TestCloudsTellThemselves(t *testing.T) {
	h := start(t, nil)
	const other = "11111111-aaaa-4aaa-8aaa-111111111112"
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: other, Cloud: defendersim.CloudGCCHigh, Apps: []defendersim.App{goodApp()}}); err != nil {
		t.Fatal(err)
	}
	if err := h.AddDirectory(defendersim.DirectorySpec{ID: "11111111-aaaa-4aaa-8aaa-111111111113", Cloud: "china"}); err == nil {
		t.Error("a cloud that is not there is accepted")
	}
	const openID = "/v2.0/.well-known/openid-configuration"
	for _, tt := range []struct{ host, tenant, instance, region any }{
		{"login.microsoftonline.com", dirID, "microsoftonline.com", "EU"},
		{"login.microsoftonline.us", other, "microsoftonline.us", "USGov"},
		{"login.microsoftonline.us:443", "common", "microsoftonline.us", "USGov"},
		{"login.microsoftonline.us", dirID, nil, nil},
		{"sts.windows.net", other, nil, nil},
	} {
		m := h.as(tt.host.(string), "/"+tt.tenant.(string)+openID).json(t)
		if m["cloud_instance_name"] != tt.instance || m["tenant_region_scope"] != tt.region || (tt.instance == nil) != (m["error"] == "invalid_tenant") {
			t.Errorf("%s at %s: %v", tt.tenant, tt.host, m)
		}
	}
	aliases := func(host string) (all []any) {
		for _, authority := range h.as(host, "/common/discovery/instance").json(t)["metadata"].([]any) {
			all = append(all, authority.(map[string]any)["aliases"].([]any)...)
		}
		return all
	}
	if got := aliases("login.microsoftonline.us"); !slices.Contains(got, any("login.microsoftonline.com")) || !slices.Contains(got, any("login.microsoftonline.us")) {
		t.Errorf("aliases %v", got)
	}
	if got := aliases("sim.example:9400"); !slices.Equal(got, []any{"sim.example:9400"}) {
		t.Errorf("aliases %v", got)
	}
	if uri, _ := h.as("login.microsoftonline.us", "/"+dirID+openID).json(t)["error_uri"].(string); !strings.HasPrefix(uri, "https://login.microsoftonline.us/") {
		t.Errorf("error_uri %q", uri)
	}
}

func TestControlOfClockAndSwitches(t *testing.T) {
	h, call := control(t)
	before := call("GET", "/clock", "").json(t)["now"]
	if before != "2026-03-01T12:00:00Z" {
		t.Errorf("now %v", before)
	}
	if now := call("POST", "/clock", `{"advance":"90m"}`).json(t)["now"]; now != "2026-03-01T13:30:00Z" || h.Now().Hour() != 13 {
		t.Errorf("now %v", now)
	}
	for _, bad := range []string{`{"advance":"-1s"}`, `{"advance":"soon"}`, `{"advance":90}`} {
		if a := call("POST", "/clock", bad); a.status != 400 {
			t.Errorf("%s: %d", bad, a.status)
		}
	}
	call("PATCH", "/switches", `{"clamp_top":true,"entra_status":{"500011":403}}`)
	m := call("PATCH", "/switches", `{"exact_paths":true}`).json(t)
	if m["clamp_top"] != true || m["exact_paths"] != true || m["legacy_forbidden"] != false || m["entra_status"].(map[string]any)["500011"] != 403.0 {
		t.Errorf("%v", m)
	}
	if a := h.form(tokenPath, "scope", "https://nobody.example/.default"); a.status != 403 {
		t.Errorf("entra_status has no effect: %d", a.status)
	}
	for method, bad := range map[string]string{"PATCH": `{"clamp_tops":true}`, "PUT": `{"entra_status":{"500011":99}}`} {
		if a := call(method, "/switches", bad); a.status != 400 {
			t.Errorf("%s %s: %d %s", method, bad, a.status, a.body)
		}
	}
	if m := call("PUT", "/switches", `{"legacy_forbidden":true}`).json(t); m["clamp_top"] != false || m["legacy_forbidden"] != true {
		t.Errorf("%v", m)
	}
	call("POST", "/faults", `[{"id":"a","status":500},{"id":"b","status":500}]`)
	if a := call("DELETE", "/faults/a", ""); a.status != 204 || len(h.Faults()) != 1 || call("DELETE", "/faults/a", "").status != 404 {
		t.Errorf("%d, %d faults", a.status, len(h.Faults()))
	}
}

func TestDocumentedLimitsOnly(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	call := func() int { return h.get(token, "/api/vulnerabilities/none").status }
	for range 100 {
		if status := call(); status != 404 {
			t.Fatal(status)
		}
	}
	if status := call(); status != 429 {
		t.Errorf("an assumed limit is not kept: %d", status)
	}
	if err := h.Switch(defendersim.Switches{DocumentedLimitsOnly: true}); err != nil {
		t.Fatal(err)
	}
	if status := call(); status != 404 {
		t.Errorf("an assumed limit is kept: %d", status)
	}
}
