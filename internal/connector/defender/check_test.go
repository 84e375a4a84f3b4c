package defender

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

var both = connector.Probe{Assets: true, Vulnerabilities: true}

func firstFailure(checks []connector.Check) connector.Check {
	for _, c := range checks {
		if c.Code != "" {
			return c
		}
	}
	return connector.Check{}
}

// TestEveryAnswerHasOneMeaning is the documented table of refusals: what Microsoft answers, which code results.
func TestEveryAnswerHasOneMeaning(t *testing.T) {
	t.Parallel()
	empty := page(`{"value":[]}`)
	newRole := "Missing application roles. API required roles: Machine.Read.All,Machine.ReadWrite.All, application roles: Vulnerability.Read.All."
	oldRole := "The application does not have any of the required application permissions (Vulnerability.Read.All) to access the resource."
	noRoles := func(w http.ResponseWriter, _ *http.Request) { writeToken(w, "3599") }
	cases := []struct {
		name       string
		token, api http.HandlerFunc // nil: a good one
		code       string
		detail     string // must be in the failing check's detail
	}{
		{"wrong secret", refuseToken(401, 7000215, "invalid_client"), nil, fault.CodeCredentialsInvalid, testClient},
		{"expired secret", refuseToken(401, 7000222, "invalid_client"), nil, fault.CodeSecretExpired, "expired"},
		{"missing secret", refuseToken(401, 7000216, "invalid_client"), nil, fault.CodeCredentialsInvalid, ""},
		{"missing secret, other number", refuseToken(401, 7000218, "invalid_client"), nil, fault.CodeCredentialsInvalid, ""},
		{"public client", refuseToken(401, 700025, "invalid_client"), nil, fault.CodeCredentialsInvalid, "does not accept"},
		{"invalid_client with a new number", refuseToken(401, 7999999, "invalid_client"), nil, fault.CodeCredentialsInvalid, ""},
		{"unknown application", refuseToken(400, 700016, "unauthorized_client"), nil, fault.CodeApplicationNotFound, testClient},
		{"unknown application, old number", refuseToken(400, 70001, "unauthorized_client"), nil, fault.CodeApplicationNotFound, ""},
		{"unauthorized_client with a new number", refuseToken(400, 799999, "unauthorized_client"), nil, fault.CodeApplicationNotFound, ""},
		{"disabled application", refuseToken(400, 7000112, "unauthorized_client"), nil, fault.CodeApplicationDisabled, ""},
		{"no service principal", refuseToken(401, 7000229, "invalid_client"), nil, fault.CodeConsentMissing, "not installed"},
		{"no subscription at consent", refuseToken(400, 650052, "invalid_client"), nil, fault.CodeConsentMissing, ""},
		{"unknown directory", refuseToken(400, 90002, "invalid_request"), nil, fault.CodeDirectoryNotFound, testDirectory},
		{"malformed directory", refuseToken(400, 900023, "invalid_request"), nil, fault.CodeDirectoryNotFound, ""},
		{"invalid_tenant", refuseToken(400, 1, "invalid_tenant"), nil, fault.CodeDirectoryNotFound, ""},
		{"other cloud", refuseToken(400, 900432, "invalid_request"), nil, fault.CodeDirectoryNotFound, "cloud"},
		{"conditional access", refuseToken(400, 53003, "invalid_grant"), nil, fault.CodeAccessBlocked, ""},
		{"tenant restriction", refuseToken(400, 500021, "access_denied"), nil, fault.CodeAccessBlocked, ""},
		{"service not there", refuseToken(400, 500011, "invalid_resource"), nil, fault.CodeServiceNotEnabled, ""},
		{"service disabled", refuseToken(400, 500014, "invalid_resource"), nil, fault.CodeServiceNotEnabled, ""},
		{"bad scope", refuseToken(400, 70011, "invalid_scope"), nil, fault.CodeUpstreamUnexpected, "scope"},
		{"unknown number and word", refuseToken(400, 4711, "brand_new"), nil, fault.CodeUpstreamUnexpected, ""},
		{"token throttled", plain(429, "", "Retry-After", "60"), nil, fault.CodeUpstreamThrottled, ""},
		{"token loop", refuseToken(400, 50196, "invalid_grant"), nil, fault.CodeUpstreamThrottled, ""},
		{"token service trouble", refuseToken(400, 90033, "invalid_request"), nil, fault.CodeUpstreamUnavailable, ""},
		{"temporarily unavailable", refuseToken(400, 1, "temporarily_unavailable"), nil, fault.CodeUpstreamUnavailable, ""},
		{"outage never blames the secret", refuseToken(503, 7000215, "invalid_client"), nil, fault.CodeUpstreamUnavailable, ""},
		{"token 503 html", plain(503, "<html>"+canaryText), nil, fault.CodeUpstreamUnavailable, ""},
		{"token html 200", plain(200, "<html>"+canaryText, "Content-Type", "text/html"), nil, fault.CodeUpstreamUnexpected, ""},
		{"token without token", page(`{"token_type":"Bearer"}`), nil, fault.CodeUpstreamUnexpected, ""},
		{"token redirect", plain(302, "", "Location", "http://127.0.0.1:1/"), nil, fault.CodeUpstreamUnexpected, "redirect"},
		{"token reset", hangUp("{"), nil, fault.CodeUpstreamUnavailable, ""},

		{"no consent, 403", noRoles, refuseAPI(403, "Forbidden", newRole), fault.CodeConsentMissing, testClient},
		{"no consent, 401", noRoles, refuseAPI(401, "Unauthorized", ""), fault.CodeConsentMissing, ""},
		{"role missing, new wording", nil, refuseAPI(403, "Forbidden", newRole), fault.CodePermissionMissing, "Machine.Read.All"},
		{"role missing, old wording", nil, on(pathMachines, empty, refuseAPI(403, "Forbidden", oldRole)), fault.CodePermissionMissing, "Vulnerability.Read.All"},
		{"403 without a body", nil, plain(403, ""), fault.CodeAccessBlocked, ""},
		{"403 of a firewall", nil, plain(403, "<html>"+canaryText), fault.CodeUpstreamUnexpected, ""},
		{"feature off", nil, refuseAPI(403, "DisabledFeature", ""), fault.CodeServiceNotEnabled, ""},
		{"no licence for vulnerabilities", nil, on(pathMachines, empty, refuseAPI(401, "Unauthorized", "Unauthorized request - reason of failure: No Tvm license")), fault.CodeLicenceMissing, "vulnerability management"},
		{"inactive", nil, refuseAPI(401, "Unauthorized", "Unauthorized request - reason of failure: Account mode is inactive"), fault.CodeLicenceMissing, "inactive"},
		{"not provisioned", nil, refuseAPI(403, "Forbidden", "Unauthorized request - Account is not provisioned."), fault.CodeLicenceMissing, "provisioned"},
		{"token refused", nil, refuseAPI(401, "Unauthorized", ""), fault.CodeCredentialsInvalid, "does not accept"},
		{"token refused without a body", nil, plain(401, ""), fault.CodeCredentialsInvalid, ""},
		{"throttled", nil, plain(429, `{"error":{"code":"TooManyRequests"}}`, "Retry-After", "20"), fault.CodeUpstreamThrottled, ""},
		{"server error", nil, refuseAPI(500, "InternalServerError", ""), fault.CodeUpstreamUnavailable, ""},
		{"bad gateway", nil, plain(502, "<html>"), fault.CodeUpstreamUnavailable, ""},
		{"gateway time-out", nil, plain(504, ""), fault.CodeUpstreamUnavailable, ""},
		{"request time-out", nil, plain(408, ""), fault.CodeUpstreamTimeout, ""},
		{"bad request", nil, refuseAPI(400, "ODataError", ""), fault.CodeUpstreamUnexpected, ""},
		{"redirect", nil, plain(307, "", "Location", "http://127.0.0.1:1/"), fault.CodeUpstreamUnexpected, "redirect"},
		{"route gone", nil, on(pathMachines, empty, plain(404, "")), fault.CodeUpstreamUnavailable, ""},
		{"nonsense", nil, page("<html>" + canaryText), fault.CodeUpstreamUnexpected, ""},
		{"truncated", nil, page(`{"value":[`), fault.CodeUpstreamUnavailable, ""},
		{"reset", nil, hangUp(`{"value":[`), fault.CodeUpstreamUnavailable, ""},
		{"teapot", nil, plain(418, ""), fault.CodeUpstreamUnexpected, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			u := newUpstream(t)
			if tc.token != nil {
				u.onToken = tc.token
			}
			if tc.api != nil {
				u.onAPI = tc.api
			}
			checks := u.open().Check(context.Background(), both)
			if names := stepNames(checks); names != "token permissions machines vulnerabilities" {
				t.Errorf("steps %q", names)
			}
			got := firstFailure(checks)
			if got.Code != tc.code {
				t.Fatalf("code %q (%s), want %q", got.Code, got.Detail, tc.code)
			}
			if !strings.Contains(got.Detail, tc.detail) || got.Title == "" || got.Cause == "" || got.Remedy == "" {
				t.Errorf("texts: %+v", got)
			}
			told := fmt.Sprintf("%+v", checks)
			for _, canary := range []string{canaryText, testSecret, canaryToken, "{client_id}", "{directory_id}", "{api}", "{permission}"} {
				if strings.Contains(told, canary) {
					t.Errorf("%q is told: %s", canary, told)
				}
			}
		})
	}
}

func stepNames(checks []connector.Check) string {
	var names []string
	for _, c := range checks {
		names = append(names, c.Name)
	}
	return strings.Join(names, " ")
}

func TestRefusalsNameMicrosoftsIdentifiers(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = refuseToken(401, 7000215, "invalid_client")
	detail := u.open().Check(context.Background(), both)[0].Detail
	if !strings.Contains(detail, "Microsoft correlation id "+testCorrelation) || !strings.Contains(detail, "trace id "+testTrace) {
		t.Errorf("detail %q", detail)
	}
	if clean := identifier("|3f2a9c4e-11d0.1_"); clean != "3f2a9c4e-11d0.1" {
		t.Errorf("an activity id is told as %q", clean)
	}
	for _, hostile := range []string{"<script>", strings.Repeat("a", 65), "no id at all", "11111111\n"} {
		if identifier(hostile) != "" {
			t.Errorf("%q passes as an identifier", hostile)
		}
	}
}

func TestSecretIDIsRecognisedEvenWithoutTheForm(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = refuseToken(401, 7000215, "invalid_client")
	credentials := testCredentials()
	credentials.Secret = sealed("3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	if got := firstFailure(mustNew(t, u.config()).Open(credentials).Check(context.Background(), both)); got.Code != fault.CodeSecretIDPasted {
		t.Fatalf("code %q", got.Code)
	}
}

func TestTheProbeDecidesOverTheClaim(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = func(w http.ResponseWriter, _ *http.Request) { writeToken(w, "3599", "Something.Else") }
	for _, c := range u.open().Check(context.Background(), both) {
		if !c.OK {
			t.Errorf("%s failed though the API answered: %+v", c.Name, c)
		}
	}
	u.onToken = plainToken("opaque")
	for _, c := range u.open().Check(context.Background(), both) {
		if !c.OK {
			t.Errorf("%s failed with an opaque token: %+v", c.Name, c)
		}
	}
}

func plainToken(text string) http.HandlerFunc {
	return page(`{"token_type":"Bearer","expires_in":"3599","access_token":"` + text + `"}`)
}

func TestOneMissingRoleFailsItsStepsOnly(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	u.onToken = func(w http.ResponseWriter, _ *http.Request) { writeToken(w, "3599", machineReadWrite) }
	u.onAPI = on(pathMachines, page(`{"value":[]}`), refuseAPI(403, "Forbidden", "required roles: Vulnerability.Read.All, application roles: Machine.ReadWrite.All"))
	checks := u.open().Check(context.Background(), both)
	var failed []string
	for _, c := range checks {
		if !c.OK {
			failed = append(failed, c.Name+":"+c.Code)
		}
	}
	want := []string{"permissions:permission_missing", "vulnerabilities:permission_missing"}
	if !slices.Equal(failed, want) || strings.Contains(checks[1].Detail, machineRead) || !strings.Contains(checks[1].Detail, vulnerabilityRead) {
		t.Fatalf("failed %v (%s), want %v", failed, checks[1].Detail, want)
	}
	checks = u.open().Check(context.Background(), connector.Probe{Assets: true})
	if bad := firstFailure(checks); bad.Code != "" || !checks[3].Skipped || !checks[3].OK {
		t.Fatalf("machines alone must do: %+v", checks)
	}
}

func TestCheckUsesAFreshTokenAndTwoProbes(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	s := u.open()
	for range 3 {
		s.Check(context.Background(), both)
	}
	if tokens, calls := u.counts(); tokens != 3 || calls != 6 {
		t.Fatalf("%d tokens, %d calls", tokens, calls)
	}
	for _, call := range u.calls {
		if !strings.HasSuffix(call, "?$top=1") {
			t.Errorf("probe %q", call)
		}
	}
}

func TestSilenceEndsWithTheContext(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"token", "api"} {
		u := newUpstream(t)
		release := make(chan struct{})
		silent := func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		if where == "token" {
			u.onToken = silent
		} else {
			u.onAPI = silent
		}
		ctx, cancel := context.WithTimeout(context.Background(), 200e6)
		got := firstFailure(u.open().Check(ctx, both))
		cancel()
		close(release)
		if got.Code != fault.CodeUpstreamTimeout {
			t.Errorf("silent %s: %q %s", where, got.Code, got.Detail)
		}
	}
}

func TestStoredIdsThatAreNoGUIDsReachNoHost(t *testing.T) {
	t.Parallel()
	u := newUpstream(t)
	c := mustNew(t, u.config())
	for _, id := range []string{
		"", "common", "organizations", "..", "../x", "a/b", "a%2fb", "@evil.example", "evil.example", "http://evil.example", "//evil.example", `\\evil`,
		testDirectory + "/", testDirectory + "?x", testDirectory + "#x", " " + testDirectory, testDirectory + "\n", "{" + testDirectory + "}", "[::1]", "169.254.169.254",
		strings.Repeat("a", 36), testDirectory[:35] + "g", testDirectory[:35], testDirectory + "0", "%00", "контора", "7c9e6679-7425-40de-944b:e07fc1f90ae7",
		"7c9e6679_7425_40de_944b_e07fc1f90ae7", "consumers", "..;/" + testDirectory,
	} {
		for _, credentials := range []connector.Credentials{
			{DirectoryID: id, ClientID: testClient, Secret: sealed(testSecret)}, {DirectoryID: testDirectory, ClientID: id, Secret: sealed(testSecret)},
		} {
			if got := firstFailure(c.Open(credentials).Check(context.Background(), both)); got.Code == "" {
				t.Errorf("%q was accepted", id)
			}
		}
	}
	if tokens, calls := u.counts(); tokens+calls+len(u.hosts) != 0 {
		t.Fatalf("%d token requests, %d calls, hosts %v", tokens, calls, u.hosts)
	}
}
