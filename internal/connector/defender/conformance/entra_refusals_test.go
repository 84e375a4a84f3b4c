package conformance_test

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

var entraRefusalStatements = []statement{
	{6, "wrong secret", strict, checkWrongSecret},
	{7, "expired secret", strict, checkExpiredSecret},
	{8, "unknown application", strict, checkUnknownApplication},
	{9, "no service principal", strict, checkNoServicePrincipal},
	{10, "unknown directory", strict, checkUnknownDirectory},
	{11, "malformed directory", strict, checkMalformedDirectory},
	{12, "disabled application", optional, checkDisabledApplication},
	{13, "conditional access", strict, checkConditionalAccess},
	{14, "resource missing or lapsed", optional, checkResource},
	{15, "scope", optional, checkScope},
	{16, "missing parameter", optional, checkMissingParameter},
}

var entraStamp = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$`)

// anyRefusal stands for a status that is not established.
const anyRefusal = 0

// refused fails unless Entra ID refused with all that a refusal carries.
func refused(t *testing.T, a answer, status int, word string, code int, texts ...string) {
	t.Helper()
	o := a.object(t)
	if (status == anyRefusal && (a.status < 400 || a.status > 499)) || (status != anyRefusal && a.status != status) {
		t.Errorf("status %d, want %d: %.300q", a.status, status, a.body)
	}
	codes, _ := o["error_codes"].([]any)
	if o["error"] != word || len(codes) != 1 || codes[0] != float64(code) {
		t.Errorf("error %v, codes %v, want %s, %d", o["error"], o["error_codes"], word, code)
	}
	stamp, _ := o["timestamp"].(string)
	trace, _ := o["trace_id"].(string)
	correlation, _ := o["correlation_id"].(string)
	if !entraStamp.MatchString(stamp) || uuid.Validate(trace) != nil || uuid.Validate(correlation) != nil || a.header.Get("X-Ms-Request-Id") != trace {
		t.Errorf("timestamp %q, trace_id %q, correlation_id %q, x-ms-request-id %q", stamp, trace, correlation, a.header.Get("X-Ms-Request-Id"))
	}
	description, _ := o["error_description"].(string)
	for _, text := range append(texts, "AADSTS") {
		if !strings.Contains(description, text) {
			t.Errorf("the description lacks %q: %s", text, description)
		}
	}
}

func checkWrongSecret(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	wrong := []string{"nope", a.secret + " ", a.secret[:len(a.secret)-1]}
	if a.secretID != "" {
		wrong = append(wrong, a.secretID)
	}
	for _, secret := range wrong {
		refused(t, a.ask(t, "client_secret", secret), http.StatusUnauthorized, "invalid_client", 7000215, a.client, "not the client secret ID")
	}
}

func checkExpiredSecret(t *testing.T, d *double) {
	d.needControl(t)
	a := d.fresh(t, nil, object{"secret_expires_at": d.now(t).Add(time.Hour)})
	a.ask(t).want(t, http.StatusOK, "")
	d.advance(t, time.Hour)
	refused(t, a.ask(t), http.StatusUnauthorized, "invalid_client", 7000222, a.client)
	refused(t, a.ask(t, "client_secret", "nope"), http.StatusUnauthorized, "invalid_client", 7000215)
}

func checkUnknownApplication(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	for _, id := range []string{uuid.NewString(), "my-app"} {
		refused(t, a.ask(t, "client_id", id), http.StatusBadRequest, "unauthorized_client", 700016, id)
		refused(t, a.ask(t, "client_id", id, "client_secret", "nope"), http.StatusBadRequest, "unauthorized_client", 700016, id)
	}
}

func checkNoServicePrincipal(t *testing.T, d *double) {
	a := d.fresh(t, nil, object{"no_service_principal": true})
	refused(t, a.ask(t), http.StatusUnauthorized, "invalid_client", 7000229, a.client)
}

func checkUnknownDirectory(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	for _, tenant := range []string{uuid.NewString(), "nobody-" + uuid.NewString()[:8] + ".example.com"} {
		refused(t, d.form(t, "/"+tenant+"/oauth2/v2.0/token", a.form()), http.StatusBadRequest, "invalid_request", 90002, tenant)
		refused(t, d.get(t, "", "/"+tenant+"/v2.0/.well-known/openid-configuration"), http.StatusBadRequest, "invalid_tenant", 90002, tenant)
	}
	known := d.get(t, "", "/"+a.directory+"/v2.0/.well-known/openid-configuration").want(t, http.StatusOK, "")
	if endpoint := known.text(t, "token_endpoint"); !strings.HasSuffix(endpoint, a.path()) {
		t.Errorf("token_endpoint %q", endpoint)
	}
}

func checkMalformedDirectory(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	for _, tenant := range []string{"my_tenant", "11111111-aaaa", "nodots"} {
		refused(t, d.form(t, "/"+tenant+"/oauth2/v2.0/token", a.form()), http.StatusBadRequest, "invalid_request", 900023, tenant)
	}
	for _, tenant := range []string{"common", "organizations", "consumers", uuid.Nil.String()} {
		if res := d.form(t, "/"+tenant+"/oauth2/v2.0/token", a.form()); res.status != http.StatusBadRequest {
			t.Errorf("%s: status %d", tenant, res.status)
		}
	}
}

func checkDisabledApplication(t *testing.T, d *double) {
	a := d.fresh(t, nil, object{"disabled": true})
	refused(t, a.ask(t), anyRefusal, "unauthorized_client", 7000112, a.client)
	d.turn(t, object{"entra_status": object{"7000112": 401}})
	refused(t, a.ask(t), http.StatusUnauthorized, "unauthorized_client", 7000112)
}

func checkConditionalAccess(t *testing.T, d *double) {
	res := d.fresh(t, nil, object{"conditional_access_blocked": true}).ask(t)
	refused(t, res, http.StatusBadRequest, "invalid_grant", 53003)
	if res.text(t, "suberror") != "message_only" || !strings.Contains(res.text(t, "claims"), "capolids") {
		t.Errorf("suberror %q, claims %q", res.text(t, "suberror"), res.text(t, "claims"))
	}
}

func checkResource(t *testing.T, d *double) {
	refused(t, d.fresh(t, object{"not_provisioned": true}, nil).ask(t), anyRefusal, "invalid_resource", 500011, "securitycenter")
	refused(t, d.fresh(t, object{"resource_disabled": true}, nil).ask(t), anyRefusal, "invalid_resource", 500014, "securitycenter")
}

func checkScope(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	bare := strings.TrimSuffix(defenderScope, "/.default")
	refused(t, a.ask(t, "scope", bare), anyRefusal, "invalid_scope", 1002012, ".default")
	refused(t, a.ask(t, "scope", "foo/.default"), http.StatusBadRequest, "invalid_scope", 70011, "foo")
	refused(t, a.ask(t, "scope", defenderScope+" https://graph.microsoft.com/.default"), anyRefusal, "invalid_scope", 700022)
	refused(t, a.ask(t, "scope", "https://nobody.example.com/.default"), anyRefusal, "invalid_resource", 500011)
}

func checkMissingParameter(t *testing.T, d *double) {
	a := d.fresh(t, nil, nil)
	for _, name := range []string{"grant_type", "client_id", "scope"} {
		refused(t, a.ask(t, name, ""), anyRefusal, "invalid_request", 900144, "'"+name+"'")
	}
	number := 0
	if codes, _ := a.ask(t, "client_secret", "").at(t, "error_codes").([]any); len(codes) == 1 {
		n, _ := codes[0].(float64)
		number = int(n)
	}
	if !slices.Contains([]int{7000216, 7000218}, number) {
		t.Fatalf("AADSTS%d for a missing secret", number)
	}
	refused(t, a.ask(t, "client_secret", ""), http.StatusUnauthorized, "invalid_client", number)
	if d.control != "" {
		d.turn(t, object{"missing_secret_7000218": true})
		refused(t, a.ask(t, "client_secret", ""), http.StatusUnauthorized, "invalid_client", 7000218)
	}
}
