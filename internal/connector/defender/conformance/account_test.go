package conformance_test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// defenderScope is what a token for the API of the commercial cloud is asked with: the page "Create an app to access
// Microsoft Defender for Endpoint without a user".
const defenderScope = "https://api.securitycenter.microsoft.com/.default"

// Application permissions of WindowsDefenderATP.
const (
	machineRead       = "Machine.Read.All"
	machineReadWrite  = "Machine.ReadWrite.All"
	vulnerabilityRead = "Vulnerability.Read.All"
)

// account is an application registration in a directory, with a secret that holds every character a form must escape.
type account struct {
	d                        *double
	directory, domain        string
	client, secret, secretID string
	registration             object // as the control interface knows it
}

// fresh makes a directory for one check alone, removed when it ends. The members of spec and app replace those of an ordinary
// directory with 30 machines, the same in every run, and an application with both read permissions. A double without control
// interface answers with the account of the flags; if spec or app ask for more than that, the check is skipped.
func (d *double) fresh(t *testing.T, spec, app object) account {
	t.Helper()
	if d.control == "" && len(spec) == 0 && len(app) == 0 {
		if *directoryID == "" || *clientID == "" || *clientSecret == "" {
			t.Skip("neither -control-url nor -directory, -client-id and -client-secret are given")
		}
		return account{d: d, directory: *directoryID, client: *clientID, secret: *clientSecret}
	}
	d.needControl(t)
	a := account{d: d, directory: uuid.NewString(), client: uuid.NewString(), secret: "aB3~x+/=%&.y-_Z" + uuid.NewString(), secretID: uuid.NewString()}
	a.domain = "c" + strings.ReplaceAll(a.directory, "-", "") + ".example.com"
	a.registration = object{"client_id": a.client, "secret": a.secret, "secret_id": a.secretID, "roles": []string{machineRead, vulnerabilityRead}}
	maps.Copy(a.registration, app)
	a.client, _ = a.registration["client_id"].(string)
	a.secret, _ = a.registration["secret"].(string)
	full := object{"domain": a.domain, "seed": 1, "machines": 30, "findings_per_machine": 10, "apps": []object{a.registration}}
	maps.Copy(full, spec)
	d.tell(t, http.MethodPut, "/directories/"+a.directory, full)
	d.undo(t, http.MethodDelete, "/directories/"+a.directory, nil)
	return a
}

// change replaces members of the application registration.
func (a account) change(t *testing.T, app object) {
	t.Helper()
	maps.Copy(a.registration, app)
	a.d.tell(t, http.MethodPut, "/directories/"+a.directory+"/apps/"+a.client, a.registration)
}

// path is the directory's v2.0 token endpoint.
func (a account) path() string { return "/" + a.directory + "/oauth2/v2.0/token" }

// form is a good v2.0 token request; pairs of name and value replace parameters, and an empty value removes one.
func (a account) form(pairs ...string) url.Values {
	v := url.Values{"grant_type": {"client_credentials"}, "client_id": {a.client}, "client_secret": {a.secret}, "scope": {defenderScope}}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		}
	}
	return v
}

// ask sends a token request to the directory's v2.0 endpoint.
func (a account) ask(t *testing.T, pairs ...string) answer {
	t.Helper()
	return a.d.form(t, a.path(), a.form(pairs...))
}

// token is a new access token.
func (a account) token(t *testing.T, pairs ...string) string {
	t.Helper()
	res := a.ask(t, pairs...).want(t, http.StatusOK, "")
	token := res.text(t, "access_token")
	if token == "" {
		t.Fatalf("no access_token: %.300q", res.body)
	}
	return token
}

// claims are those of a token; the signature is the double's own affair.
func claims(t *testing.T, token string) object {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("the token has %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		t.Fatal(err)
	}
	return o
}
