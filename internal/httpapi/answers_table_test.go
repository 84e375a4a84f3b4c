package httpapi_test

import (
	"strconv"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

const (
	admin    = api.ActorCustomerAdmin
	operator = api.ActorPGPOperator
	nobody   = api.ActorNobody
)

// numbered are refusals of Entra ID by their AADSTS number: Microsoft's page "Microsoft Entra authentication and authorization
// error codes".
func numbered(code string, acts api.Actor, remedy string, numbers ...int) (all []trouble) {
	for _, n := range numbers {
		all = append(all, trouble{name: "AADSTS" + strconv.Itoa(n), arrange: refusing(n), code: code, acts: acts, remedy: remedy, ids: true})
	}
	return all
}

func entraTroubles() []trouble {
	var all []trouble
	add := func(code string, acts api.Actor, remedy string, numbers ...int) {
		all = append(all, numbered(code, acts, remedy, numbers...)...)
	}
	add(api.CodeCredentialsInvalid, admin, "create a new client secret", 7000215, 7000216, 7000218)
	add(api.CodeCredentialsInvalid, admin, "Allow public client flows", 700025)
	add(api.CodeCredentialsInvalid, admin, "or sign in by certificate", 700027)
	add(api.CodeSecretExpired, admin, "rotate it here", 7000222)
	add(api.CodeApplicationNotFound, admin, "Application (client) ID", 700016, 700011, 70001)
	add(api.CodeApplicationDisabled, admin, "Enabled for users to sign-in", 7000112)
	add(api.CodeConsentMissing, admin, "creates the enterprise application", 7000229)
	add(api.CodeConsentMissing, admin, "Grant admin consent", 65001, 650052, 650056, 650057, 90094)
	add(api.CodeDirectoryNotFound, admin, "Directory (tenant) ID", 90002, 900023, 900021, 50059, 50194, 9001023, 90019)
	add(api.CodeDirectoryNotFound, admin, "names that cloud", 90038, 900382, 900432)
	add(api.CodeAccessDenied, admin, "Exclude the application", 53003, 530032, 530035, 50131, 500021, 500022, 500212, 500213)
	add(api.CodeServiceNotEnabled, admin, "Microsoft Defender portal once", 500011, 50001)
	add(api.CodeServiceNotEnabled, admin, "Renew the subscription", 500014)
	add(api.CodeUpstreamUnexpected, operator, "configured cloud and scope", 1002012, 70011, 700022)
	add(api.CodeUpstreamUnexpected, operator, "has to be changed", 900144, 90014, 9002313, 900561, 70003)
	add(api.CodeUpstreamThrottled, nobody, "Retry-After", 50196, 90055)
	add(api.CodeUpstreamUnavailable, nobody, "try again in some minutes", 90033, 90006, 90024, 90012, 50033, 90090)
	json, html := "application/json", "text/html"
	ids := `"trace_id":"11111111-1111-1111-1111-111111111111","correlation_id":"22222222-2222-2222-2222-222222222222"}`
	return append(all, []trouble{
		{"invalid_client with a new number", tokenText(401, json, `{"error":"invalid_client","error_description":"AADSTS7999999: new","error_codes":[7999999],`+ids),
			api.CodeCredentialsInvalid, admin, "create a new client secret", true, 0},
		{"a new number and a new word", tokenText(400, json, `{"error":"brand_new","error_description":"AADSTS4711000: new","error_codes":[4711000],`+ids),
			api.CodeUpstreamUnexpected, operator, "with the request ids in it", true, 0},
		{"an outage that names the secret", tokenText(503, json, `{"error":"invalid_client","error_description":"AADSTS7000215: x","error_codes":[7000215],`+ids),
			api.CodeUpstreamUnavailable, nobody, "try again in some minutes", true, 0},
		{"token 429 in seconds", atToken(defendersim.Fault{Status: 429, Body: "empty", RetryAfter: "60"}), api.CodeUpstreamThrottled, nobody, "Retry-After", false, time.Minute},
		{"token 429 with a date", atToken(defendersim.Fault{Status: 429, Body: "empty", RetryAfter: "date:40s"}), api.CodeUpstreamThrottled, nobody, "Retry-After", false, 40 * time.Second},
		{"token 503 as a page", atToken(defendersim.Fault{Status: 503, Body: "html"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"token 500 without a body", atToken(defendersim.Fault{Status: 500, Body: "empty"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"a page in place of a token", tokenText(200, html, "<html>"+foreign), api.CodeUpstreamUnexpected, operator, "Try again", false, 0},
		{"a success without a token", tokenText(200, json, `{"token_type":"Bearer","note":"foreignwordone"}`), api.CodeUpstreamUnexpected, operator, "Try again", false, 0},
	}...)
}

// apiTroubles are refusals of the Defender API: Microsoft's page "Common REST API error codes", and refusals that were observed.
func apiTroubles() []trouble {
	type fault = defendersim.Fault
	machines, vulnerabilities := defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead
	oldWords := "The application does not have any of the required application permissions (Vulnerability.Read.All) to access the resource."
	return []trouble{
		{"no consent", granted(), api.CodeConsentMissing, admin, "Grant admin consent", true, 0},
		{"only a foreign permission", granted("Alert.Read.All"), api.CodePermissionMissing, admin, "Grant admin consent", true, 0},
		{"machines not granted", granted(vulnerabilities), api.CodePermissionMissing, admin, "Grant admin consent", true, 0},
		{"vulnerabilities not granted", granted(machines), api.CodePermissionMissing, admin, "Grant admin consent", true, 0},
		{"403 in the older wording", atVulnerabilities(fault{Status: 403, Message: oldWords}), api.CodePermissionMissing, admin, "Grant admin consent", true, 0},
		{"403 without a body", atAPI(fault{Status: 403, Body: "empty"}), api.CodeAccessDenied, admin, "restriction of API access", false, 0},
		{"403 in spite of the permission", atAPI(fault{Status: 403, Body: "json"}), api.CodeAccessDenied, admin, "Wait some minutes", true, 0},
		{"403 of a firewall", atAPI(fault{Status: 403, Body: "html"}), api.CodeUpstreamUnexpected, operator, "outbound network", false, 0},
		{"403 DisabledFeature", atAPI(fault{Status: 403, Code: "DisabledFeature"}), api.CodeServiceNotEnabled, admin, "Enable the feature", true, 0},
		{"403 DisallowedOperation", atAPI(fault{Status: 403, Code: "DisallowedOperation"}), api.CodeAccessDenied, admin, "restriction of API access", true, 0},
		{"403 not provisioned", atAPI(fault{Status: 403, Message: "Unauthorized request - Account is not provisioned."}), api.CodeLicenseMissing, admin, "set the service up", true, 0},
		{"401 no licence for vulnerabilities", licensed(defendersim.LicenceMachinesOnly), api.CodeLicenseMissing, admin, "Plan 2", true, 0},
		{"401 inactive", licensed(defendersim.LicenceInactive), api.CodeLicenseMissing, admin, "subscription", true, 0},
		{"401 not provisioned", atAPI(fault{Status: 401, Message: "Unauthorized request - Account is not provisioned."}), api.CodeLicenseMissing, admin, "set the service up", true, 0},
		{"401 Unauthorized", atAPI(fault{Status: 401}), api.CodeCredentialsInvalid, admin, "belong together", true, 0},
		{"401 of a proxy", atAPI(fault{Status: 401, Body: "html"}), api.CodeUpstreamUnexpected, operator, "outbound network", false, 0},
		{"401 without a body", atAPI(fault{Status: 401, Body: "empty"}), api.CodeCredentialsInvalid, admin, "belong together", false, 0},
		{"400 BadRequest", atAPI(fault{Status: 400}), api.CodeUpstreamUnexpected, operator, "has to be changed", true, 0},
		{"400 ODataError", atVulnerabilities(fault{Status: 400, Code: "ODataError"}), api.CodeUpstreamUnexpected, operator, "has to be changed", true, 0},
		{"404 of vulnerabilities", atVulnerabilities(fault{Status: 404}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", true, 0},
		{"404 that Defender did not write", atAPI(fault{Status: 404, Body: "html"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"410", atAPI(fault{Status: 410}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", true, 0},
		{"408", atAPI(fault{Status: 408}), api.CodeUpstreamTimeout, nobody, "try again in some minutes", true, 0},
		{"418", atAPI(fault{Status: 418}), api.CodeUpstreamUnexpected, operator, "with the request ids in it", true, 0},
		{"429 in seconds", atAPI(fault{Status: 429, RetryAfter: "45"}), api.CodeUpstreamThrottled, nobody, "Retry-After", true, 45 * time.Second},
		{"429 with a date", atAPI(fault{Status: 429, RetryAfter: "date:30s"}), api.CodeUpstreamThrottled, nobody, "Retry-After", true, 30 * time.Second},
		{"429 without a time", atAPI(fault{Status: 429}), api.CodeUpstreamThrottled, nobody, "Retry-After", true, 0},
		{"500 as JSON", atAPI(fault{Status: 500}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", true, 0},
		{"500 without a body", atAPI(fault{Status: 500, Body: "empty"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"502 as a page", atAPI(fault{Status: 502, Body: "html"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"503 that says when", atAPI(fault{Status: 503, RetryAfter: "20"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", true, 20 * time.Second},
		{"504 without a body", atVulnerabilities(fault{Status: 504, Body: "empty"}), api.CodeUpstreamUnavailable, nobody, "try again in some minutes", false, 0},
		{"damaged JSON", atAPI(fault{Body: "garbage"}), api.CodeUpstreamUnexpected, operator, "Try again", false, 0},
		{"a page in place of data", apiText(200, "text/html", "<html>"+foreign), api.CodeUpstreamUnexpected, operator, "Try again", false, 0},
	}
}

// TestEveryAnswerOfMicrosoftHasOneMeaning meets each known answer at Connect, in a run and at a re-check.
func TestEveryAnswerOfMicrosoftHasOneMeaning(t *testing.T) {
	t.Parallel()
	all := append(entraTroubles(), apiTroubles()...)
	if len(all) < 46 {
		t.Fatalf("only %d answers", len(all))
	}
	a := newAnswers(t)
	a.prove(t, 10*time.Second, all)
	if n := a.marked.Load(); n < int64(3*len(all)) { // at Connect, in the run, at the re-check; repeated calls not counted
		t.Errorf("only %d refusals held foreign words", n)
	}
}
