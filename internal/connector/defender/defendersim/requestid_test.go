package defendersim_test

import (
	"regexp"
	"testing"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

var guid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func TestAnswersNameTheirRequests(t *testing.T) {
	h := start(t, nil)
	token, given := h.token(), defendersim.NewGUID()
	blob := h.files("")[0]
	for _, tc := range []struct {
		name, method, target, own, back string
		ask                             bool
	}{
		{"API", "GET", "/api/machines?$top=1", "request-id", "client-request-id", true},
		{"API, not asked back", "GET", "/api/machines?$top=1", "request-id", "", false},
		{"Entra ID", "POST", tokenPath, "x-ms-request-id", "client-request-id", true},
		{"storage", "GET", blob, "x-ms-request-id", "x-ms-client-request-id", false},
	} {
		r := h.request(tc.method, tc.target, "")
		if tc.target != blob {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		r.Header.Set("client-request-id", given)
		r.Header.Set("x-ms-client-request-id", given)
		if tc.ask {
			r.Header.Set("return-client-request-id", "true")
		}
		a := h.do(r)
		if !guid.MatchString(a.header.Get(tc.own)) || a.header.Get(tc.own) == given {
			t.Errorf("%s: %s %q", tc.name, tc.own, a.header.Get(tc.own))
		}
		for _, name := range []string{"client-request-id", "x-ms-client-request-id"} {
			if want := map[bool]string{true: given}[name == tc.back]; a.header.Get(name) != want {
				t.Errorf("%s: %s %q, want %q", tc.name, name, a.header.Get(name), want)
			}
		}
		if last := h.Journal(1)[0]; last.RequestID != given {
			t.Errorf("%s: the journal has %q", tc.name, last.RequestID)
		}
	}
}

func TestEntraRefusesUnderTheClientsId(t *testing.T) {
	h := start(t, nil)
	for given, kept := range map[string]bool{defendersim.NewGUID(): true, "no guid": false, "": false} {
		r := h.request("POST", tokenPath, "grant_type=client_credentials")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("client-request-id", given)
		correlation, _ := h.do(r).json(t)["correlation_id"].(string)
		if !guid.MatchString(correlation) || (correlation == given) != kept {
			t.Errorf("%q is refused as %q", given, correlation)
		}
	}
}

func TestAGatewayKnowsNoRequestIds(t *testing.T) {
	h := start(t, nil)
	token := h.token()
	h.arm(defendersim.Fault{Route: "machines", Status: 502, Body: "html"})
	if a := h.get(token, "/api/machines"); a.status != 502 || a.header.Get("request-id") != "" {
		t.Errorf("%d, %v", a.status, a.header)
	}
}
