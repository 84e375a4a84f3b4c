package defendersim_test

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

func TestTokenV2(t *testing.T) {
	h := start(t, nil)
	a := h.form(tokenPath)
	m := a.json(t)
	if a.status != 200 || len(m) != 4 || m["token_type"] != "Bearer" || m["expires_in"] != 3599.0 || m["ext_expires_in"] != 3599.0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if !strings.Contains(a.header.Get("Cache-Control"), "no-store") || a.header.Get("X-Ms-Request-Id") == "" {
		t.Errorf("headers %v", a.header)
	}
	c := claimsOf(t, m["access_token"].(string))
	for name, want := range map[string]any{"aud": "https://api.securitycenter.microsoft.com", "iss": "https://sts.windows.net/" + dirID + "/",
		"tid": dirID, "appid": clientID, "appidacr": "1", "ver": "1.0"} {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
	for _, name := range []string{"oid", "sub", "iat", "nbf", "exp", "uti"} {
		if c[name] == nil {
			t.Errorf("claim %s is missing", name)
		}
	}
	if life := c["exp"].(float64) - float64(h.clock.now().Unix()); life < 3599 || c["exp"].(float64)-c["iat"].(float64) != 3900 {
		t.Errorf("life-time %v, iat %v", life, c["iat"])
	}
	if roles, _ := c["roles"].([]any); len(roles) != 2 {
		t.Errorf("roles %v", c["roles"])
	}
	byDomain := h.form("/CONTOSO.com/oauth2/v2.0/token")
	if claimsOf(t, byDomain.json(t)["access_token"].(string))["tid"] != dirID {
		t.Error("a domain name does not lead to the directory")
	}
}

func TestTokenV1(t *testing.T) {
	h := start(t, nil)
	a := h.form("/"+dirID+"/oauth2/token", "scope", "", "resource", "https://api.securitycenter.microsoft.com")
	m := a.json(t)
	for _, name := range []string{"expires_in", "ext_expires_in", "expires_on", "not_before"} {
		if _, ok := m[name].(string); !ok {
			t.Errorf("%s is %v, want a string", name, m[name])
		}
	}
	if m["resource"] != "https://api.securitycenter.microsoft.com" {
		t.Errorf("resource %v", m["resource"])
	}
}

func TestTokenRefusals(t *testing.T) {
	h := start(t, nil)
	app := func(id string, change func(*defendersim.App)) {
		a := goodApp()
		a.ClientID = id
		change(&a)
		if err := h.SetApp(dirID, a); err != nil {
			t.Fatal(err)
		}
	}
	id := func(n string) string { return "22222222-bbbb-4bbb-8bbb-22222222220" + n }
	app(id("1"), func(a *defendersim.App) { a.SecretExpiresAt = h.clock.now().Add(-time.Hour) })
	app(id("2"), func(a *defendersim.App) { a.NoServicePrincipal = true })
	app(id("3"), func(a *defendersim.App) { a.Disabled = true })
	app(id("4"), func(a *defendersim.App) { a.ConditionalAccessBlocked = true })
	bare, lapsed := "11111111-aaaa-4aaa-8aaa-111111111112", "11111111-aaaa-4aaa-8aaa-111111111113"
	for _, d := range []defendersim.DirectorySpec{{ID: bare, NotProvisioned: true}, {ID: lapsed, ResourceDisabled: true}} {
		d.Apps = []defendersim.App{goodApp()}
		if err := h.AddDirectory(d); err != nil {
			t.Fatal(err)
		}
	}
	at := func(tenant string) string { return "/" + tenant + "/oauth2/v2.0/token" }
	tests := []struct {
		name, path string
		form       []string
		status     int
		word       string
		code       float64
		text       string
	}{
		{"6 wrong secret", tokenPath, []string{"client_secret", "nope"}, 401, "invalid_client", 7000215, clientID},
		{"6 secret id", tokenPath, []string{"client_secret", "33333333-cccc-4ccc-8ccc-333333333333"}, 401, "invalid_client", 7000215, "not the client secret ID"},
		{"7 expired secret", tokenPath, []string{"client_id", id("1")}, 401, "invalid_client", 7000222, "expired"},
		{"8 unknown app", tokenPath, []string{"client_id", "22222222-bbbb-4bbb-8bbb-2222222222ff"}, 400, "unauthorized_client", 700016, "was not found"},
		{"8 app is no GUID", tokenPath, []string{"client_id", "my-app"}, 400, "unauthorized_client", 700016, "my-app"},
		{"9 no service principal", tokenPath, []string{"client_id", id("2")}, 401, "invalid_client", 7000229, dirID},
		{"10 unknown tenant", at("11111111-aaaa-4aaa-8aaa-1111111111ff"), nil, 400, "invalid_request", 90002, "not found"},
		{"10 unknown domain", at("fabrikam.com"), nil, 400, "invalid_request", 90002, "fabrikam.com"},
		{"11 malformed tenant", at("my_tenant"), nil, 400, "invalid_request", 900023, "my_tenant"},
		{"11 common", at("common"), nil, 400, "invalid_request", 50059, ""},
		{"12 disabled app", tokenPath, []string{"client_id", id("3")}, 400, "unauthorized_client", 7000112, "disabled"},
		{"13 conditional access", tokenPath, []string{"client_id", id("4")}, 400, "invalid_grant", 53003, "Conditional Access"},
		{"14 not provisioned", at(bare), nil, 400, "invalid_resource", 500011, "not found"},
		{"14 lapsed", at(lapsed), nil, 400, "invalid_resource", 500014, "disabled"},
		{"15 no default", tokenPath, []string{"scope", "https://api.securitycenter.microsoft.com"}, 400, "invalid_scope", 1002012, ".default"},
		{"15 unknown scope", tokenPath, []string{"scope", "foo/.default"}, 400, "invalid_scope", 70011, "foo"},
		{"15 two resources", tokenPath, []string{"scope", scope + " https://graph.microsoft.com/.default"}, 400, "invalid_scope", 700022, ""},
		{"16 no grant", tokenPath, []string{"grant_type", ""}, 400, "invalid_request", 900144, "'grant_type'"},
		{"16 no client", tokenPath, []string{"client_id", ""}, 400, "invalid_request", 900144, "'client_id'"},
		{"16 no scope", tokenPath, []string{"scope", ""}, 400, "invalid_request", 900144, "'scope'"},
		{"16 no secret", tokenPath, []string{"client_secret", ""}, 401, "invalid_client", 7000216, ""},
	}
	stamp := regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$`)
	traces := map[any]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := h.form(tt.path, tt.form...)
			m := a.json(t)
			codes, _ := m["error_codes"].([]any)
			text, _ := m["error_description"].(string)
			if a.status != tt.status || m["error"] != tt.word || len(codes) != 1 || codes[0] != tt.code || !strings.Contains(text, tt.text) {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if !stamp.MatchString(m["timestamp"].(string)) || m["correlation_id"] == "" || traces[m["trace_id"]] ||
				a.header.Get("X-Ms-Request-Id") != m["trace_id"] {
				t.Errorf("%v, header %q", m, a.header.Get("X-Ms-Request-Id"))
			}
			traces[m["trace_id"]] = true
			if strings.Contains(string(a.body), secret) {
				t.Error("the secret is echoed")
			}
			if strings.HasPrefix(tt.name, "13") && (m["suberror"] != "message_only" || !strings.Contains(m["claims"].(string), "capolids")) {
				t.Errorf("suberror %v, claims %v", m["suberror"], m["claims"])
			}
		})
	}
}

func TestTokenRequestForms(t *testing.T) {
	h := start(t, nil)
	t.Run("1 GET is refused", func(t *testing.T) {
		if a := h.get("", tokenPath); a.status != 400 || a.json(t)["error_codes"].([]any)[0] != 900561.0 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("1 JSON body is refused", func(t *testing.T) {
		r := h.request("POST", tokenPath, `{"grant_type":"client_credentials"}`)
		r.Header.Set("Content-Type", "application/json")
		if a := h.do(r); a.status != 400 || a.json(t)["error"] != "invalid_request" {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("1 HTTP Basic", func(t *testing.T) {
		r := h.request("POST", tokenPath, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}}.Encode())
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(clientID)+":"+url.QueryEscape(secret))))
		if a := h.do(r); a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
	t.Run("15 OpenID words are ignored", func(t *testing.T) { h.token("scope", scope+" openid offline_access profile") })
	t.Run("23 unescaped secret fails", func(t *testing.T) {
		r := h.request("POST", tokenPath, "grant_type=client_credentials&client_id="+clientID+"&client_secret=aB3~x+/=&scope="+url.QueryEscape(scope))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if a := h.do(r); a.status != 401 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	})
}

func TestOpenIDConfiguration(t *testing.T) {
	h := start(t, nil)
	a := h.get("", "/"+dirID+"/v2.0/.well-known/openid-configuration")
	if a.json(t)["token_endpoint"] != h.url+tokenPath {
		t.Fatalf("%s", a.body)
	}
	a = h.get("", "/fabrikam.com/v2.0/.well-known/openid-configuration")
	if m := a.json(t); a.status != 400 || m["error"] != "invalid_tenant" || m["error_codes"].([]any)[0] != 90002.0 {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestTokensAndRoles(t *testing.T) {
	h := start(t, nil)
	set := func(roles ...string) {
		a := goodApp()
		a.Roles = roles
		if err := h.SetApp(dirID, a); err != nil {
			t.Fatal(err)
		}
	}
	set()
	bare := h.token()
	if _, present := claimsOf(t, bare)["roles"]; present {
		t.Error("17: the token of an application without consent has roles")
	}
	expect(t, h.get(bare, "/api/machines"), 403, "Forbidden")
	set(defendersim.RoleMachineRead)
	partial := h.token()
	if roles := claimsOf(t, partial)["roles"].([]any); !slices.Equal(roles, []any{defendersim.RoleMachineRead}) {
		t.Errorf("18: roles %v", roles)
	}
	if a := h.get(bare, "/api/machines"); a.status != 403 {
		t.Error("22: a token issued before the consent gained a role")
	}
	if a := h.get(partial, "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("18: %d", a.status)
	}
	a := h.get(partial, "/api/vulnerabilities?$top=1")
	expect(t, a, 403, "Forbidden")
	want := "Missing application roles. API required roles: Vulnerability.Read.All, application roles: Machine.Read.All."
	if a.message(t) != want {
		t.Errorf("25: message %q", a.message(t))
	}
	a = h.get(bare, "/api/machines")
	if !strings.Contains(a.message(t), "API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: .") {
		t.Errorf("25: message %q", a.message(t))
	}
	set(defendersim.RoleMachineReadWrite)
	if a := h.get(h.token(), "/api/machines?$top=1"); a.status != 200 {
		t.Errorf("27: %d %s", a.status, a.body)
	}
}

func TestAudiences(t *testing.T) {
	h := start(t, nil)
	for audience, status := range map[string]int{
		"https://api.securitycenter.microsoft.com":                 200,
		"https://securitycenter.onmicrosoft.com/windowsatpservice": 200,
		"https://api.securitycenter.windows.com":                   200,
		"https://api.security.microsoft.com":                       403,
		"https://graph.microsoft.com":                              401,
	} {
		token := h.token("scope", audience+"/.default")
		if claimsOf(t, token)["aud"] != audience {
			t.Errorf("aud %v", claimsOf(t, token)["aud"])
		}
		if a := h.get(token, "/api/machines?$top=1"); a.status != status {
			t.Errorf("%s: %d, want %d", audience, a.status, status)
		}
	}
}
