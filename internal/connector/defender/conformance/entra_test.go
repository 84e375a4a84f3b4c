package conformance_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
)

var entraStatements = []statement{
	{1, "token endpoints", strict, checkTokenEndpoints},
	{2, "v2 answer", strict, checkV2Answer},
	{3, "v1 answer", strict, checkV1Answer},
	{4, "token is a JWT", strict, checkClaims},
	{5, "shape of refusals", strict, checkRefusalShape},
	{17, "no consent", strict, checkNoConsent},
	{18, "partial consent", strict, checkPartialConsent},
	{21, "Defender XDR audience", optional, checkXDRAudience},
	{22, "roles are those of issuance", strict, checkRolesOfIssuance},
	{23, "escaped secret", strict, checkEscapedSecret},
}

func checkTokenEndpoints(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	a.ask(t).want(t, http.StatusOK, "")
	v1 := a.form("scope", "", "resource", strings.TrimSuffix(defenderScope, "/.default"))
	d.form(t, "/"+a.directory+"/oauth2/token", v1).want(t, http.StatusOK, "")
	if a.domain != "" {
		d.form(t, "/"+a.domain+"/oauth2/v2.0/token", a.form()).want(t, http.StatusOK, "")
	}
	if res := d.get(t, "", a.path()); res.status != http.StatusBadRequest {
		t.Errorf("GET: status %d", res.status)
	}
	r := d.request(t, http.MethodPost, a.path(), `{"grant_type":"client_credentials"}`, header{"Content-Type", "application/json"})
	refused(t, d.do(r), http.StatusBadRequest, "invalid_request", 900144)
	basic := base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(a.client) + ":" + url.QueryEscape(a.secret)))
	d.form(t, a.path(), a.form("client_id", "", "client_secret", ""), header{"Authorization", "Basic " + basic}).want(t, http.StatusOK, "")
	a.ask(t, "scope", defenderScope+" openid offline_access profile").want(t, http.StatusOK, "")
}

func checkV2Answer(t *testing.T, d *double) {
	res := d.fresh(t, nil, nil).ask(t).want(t, http.StatusOK, "")
	o := res.object(t)
	if len(o) != 4 || o["token_type"] != "Bearer" || o["expires_in"] != 3599.0 || o["access_token"] == nil {
		t.Errorf("members %v", keys(o))
	}
	if _, ok := o["ext_expires_in"].(float64); !ok {
		t.Errorf("ext_expires_in is %v", o["ext_expires_in"])
	}
	if !strings.Contains(res.header.Get("Cache-Control"), "no-store") {
		t.Errorf("Cache-Control %q", res.header.Get("Cache-Control"))
	}
}

func checkV1Answer(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	resource := strings.TrimSuffix(defenderScope, "/.default")
	o := d.form(t, "/"+a.directory+"/oauth2/token", a.form("scope", "", "resource", resource)).want(t, http.StatusOK, "").object(t)
	for _, name := range []string{"expires_in", "ext_expires_in", "expires_on", "not_before"} {
		if text, ok := o[name].(string); !ok || strings.Trim(text, "0123456789") != "" || text == "" {
			t.Errorf("%s is %v, not digits in a text", name, o[name])
		}
	}
	if o["resource"] != resource || o["token_type"] != "Bearer" {
		t.Errorf("resource %v, token_type %v", o["resource"], o["token_type"])
	}
}

func checkClaims(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	c := claims(t, a.token(t))
	fixed := object{"aud": "https://api.securitycenter.microsoft.com", "iss": "https://sts.windows.net/" + a.directory + "/",
		"tid": a.directory, "appid": a.client, "appidacr": "1", "ver": "1.0"}
	for name, want := range fixed {
		if c[name] != want {
			t.Errorf("%s is %v, want %v", name, c[name], want)
		}
	}
	for _, name := range []string{"oid", "sub", "uti"} {
		if text, _ := c[name].(string); text == "" {
			t.Errorf("%s is %v", name, c[name])
		}
	}
	issued, _ := c["iat"].(float64)
	from, _ := c["nbf"].(float64)
	until, _ := c["exp"].(float64)
	if issued == 0 || from > issued || until-issued < 3599 {
		t.Errorf("iat %v, nbf %v, exp %v", c["iat"], c["nbf"], c["exp"])
	}
	if !slices.Equal(rolesOf(c), []string{machineRead, vulnerabilityRead}) {
		t.Errorf("roles %v", c["roles"])
	}
}

func checkRefusalShape(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	first, second := a.ask(t, "client_secret", "nope"), a.ask(t, "client_secret", "nope")
	refused(t, first, http.StatusUnauthorized, "invalid_client", 7000215)
	for _, id := range []string{"trace_id", "correlation_id"} {
		if first.text(t, id) == second.text(t, id) {
			t.Errorf("%s is the same twice", id)
		}
	}
	if text := first.text(t, "error_description"); !strings.Contains(text, first.text(t, "trace_id")) {
		t.Errorf("the description ends without ids: %s", text)
	}
}

// checkNoConsent: tokens are issued without consent, and only the API refuses.
func checkNoConsent(t *testing.T, d *double) {
	a := d.fresh(t, nil, object{"roles": []string{}})
	token := a.token(t)
	if roles, there := claims(t, token)["roles"]; there {
		t.Errorf("roles %v", roles)
	}
	d.get(t, token, "/api/machines?$top=1").want(t, http.StatusForbidden, "Forbidden")
}

func checkPartialConsent(t *testing.T, d *double) {
	token := d.fresh(t, nil, object{"roles": []string{machineRead}}).token(t)
	if roles := rolesOf(claims(t, token)); !slices.Equal(roles, []string{machineRead}) {
		t.Errorf("roles %v", roles)
	}
	d.get(t, token, "/api/machines?$top=1").want(t, http.StatusOK, "")
	d.get(t, token, "/api/vulnerabilities?$top=1").want(t, http.StatusForbidden, "Forbidden")
}

func checkXDRAudience(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	const xdr = "https://api.security.microsoft.com"
	token := a.token(t, "scope", xdr+"/.default")
	if c := claims(t, token); c["aud"] != xdr || len(rolesOf(c)) > 0 {
		t.Errorf("aud %v, roles %v", c["aud"], c["roles"])
	}
	if res := d.get(t, token, "/api/machines?$top=1"); res.status != http.StatusForbidden && res.status != http.StatusUnauthorized {
		t.Errorf("status %d", res.status)
	}
	if d.control == "" {
		return
	}
	d.turn(t, object{"xdr_audience_accepted": true}) // as one answer of Microsoft's forum has it
	d.get(t, a.token(t, "scope", xdr+"/.default"), "/api/machines?$top=1").want(t, http.StatusOK, "")
}

func checkRolesOfIssuance(t *testing.T, d *double) {
	a := d.fresh(t, nil, object{"roles": []string{}})
	before := a.token(t)
	a.change(t, object{"roles": []string{machineRead}})
	d.get(t, before, "/api/machines?$top=1").want(t, http.StatusForbidden, "Forbidden")
	after := a.token(t)
	d.get(t, after, "/api/machines?$top=1").want(t, http.StatusOK, "")
	a.change(t, object{"roles": []string{}})
	d.get(t, after, "/api/machines?$top=1").want(t, http.StatusOK, "")
}

func checkEscapedSecret(t *testing.T, d *double) {
	secret := "a+b%41 /=&~_" + uuid.NewString()
	a := d.fresh(t, nil, object{"secret": secret})
	a.ask(t, "client_secret", secret).want(t, http.StatusOK, "")
	raw := strings.Replace(a.form("client_secret", "").Encode(), "grant_type=", "client_secret="+secret+"&grant_type=", 1)
	r := d.request(t, http.MethodPost, a.path(), raw, header{"Content-Type", "application/x-www-form-urlencoded"})
	refused(t, d.do(r), http.StatusUnauthorized, "invalid_client", 7000215)
}
