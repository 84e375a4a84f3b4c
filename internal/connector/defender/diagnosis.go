package defender

import (
	"net/http"
	"slices"
	"strings"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// diagnose gives an answer its meaning.
func diagnose(a answer, who subject) *failure {
	f := &failure{status: a.status, outcome: outcomeOf(a.status), origin: a.withoutText()}
	rules := apiRules
	if a.endpoint == EndpointToken {
		rules = loginRules
	}
	for _, r := range rules() {
		if r.matches(a, who) {
			f.retry = r.retry
			f.fault = r.fault(a, who)
			break
		}
	}
	return f
}

// subject is whom a refusal is about, for texts that name it.
type subject struct {
	clientID     string
	directoryID  string
	cloud        Cloud // that this service is configured for
	method       connector.Method
	thumbprint   string          // of a certificate: its end, as Microsoft's portal shows it
	trust        connector.Trust // of a federated sign-in: what it claimed to be
	secretIsGUID bool
	rolesKnown   bool // the token could be read
	roles        []string
}

// rule maps answers to a code. All its conditions must hold; an empty one holds always. The first rule that matches wins.
type rule struct {
	oauth   []string // OAuth error word
	numbers []int    // AADSTS numbers
	status  int      // exact, or a class: 3, 4, 5
	code    string   // API error code
	hints   []string // any of these in the message
	when    func(answer, subject) bool

	to     string
	detail string
	cause  string      // empty: the code's own
	remedy string      // empty: the code's own
	acts   fault.Actor // empty: the code's own
	retry  bool
}

func (r rule) matches(a answer, who subject) bool {
	return (len(r.oauth) == 0 || slices.Contains(r.oauth, a.oauthError)) &&
		(len(r.numbers) == 0 || slices.ContainsFunc(a.numbers, func(n int) bool { return slices.Contains(r.numbers, n) })) &&
		(r.status == 0 || r.status == a.status || r.status == a.status/100) &&
		(r.code == "" || strings.EqualFold(r.code, a.code)) &&
		(len(r.hints) == 0 || slices.ContainsFunc(r.hints, func(h string) bool { return strings.Contains(a.message, h) })) &&
		(r.when == nil || r.when(a, who))
}

func (r rule) fault(a answer, who subject) *fault.Error {
	fill := strings.NewReplacer("{client_id}", who.clientID, "{directory_id}", who.directoryID, "{cloud}", who.cloud.text(), "{neighbour}", who.cloud.neighbour().text(),
		"{proof}", who.method.Proof(), "{renew}", who.method.Renewal(), "{permission}", permissionText(a), "{api}", apiText(a.endpoint),
		"{certificate}", certificateText(who), "{issuer}", who.trust.Issuer, "{subject}", who.trust.Subject, "{audience}", who.trust.Audience)
	f := fault.Wrap(a.withoutText(), r.to, fill.Replace(r.detail)+a.support())
	f.Cause, f.Remedy = fill.Replace(r.cause), fill.Replace(r.remedy)
	f.Acts, f.RetryAfter, f.Asked = r.acts, a.retryAfter, a.retryAfter > 0
	if a.endpoint != EndpointToken && (r.to == fault.CodePermissionMissing || r.to == fault.CodeConsentMissing) {
		f.Access = lacking(accessOf(who.roles, who.rolesKnown, permissionOf(a.endpoint)), permissionOf(a.endpoint))
	}
	return f
}

func outcomeOf(status int) Outcome {
	switch {
	case status == http.StatusTooManyRequests:
		return OutcomeThrottled
	case status >= 500:
		return OutcomeServerError
	case status >= 400:
		return OutcomeRefused
	}
	return OutcomeMalformed
}

// permissionText names what is missing: what the refusal asks for, else what the route needs.
func permissionText(a answer) string {
	if len(a.roles) > 0 {
		return strings.Join(a.roles, " or ")
	}
	return permissionOf(a.endpoint)
}

// certificateText tells one certificate from others by what can be seen of it in Microsoft's portal.
func certificateText(who subject) string {
	if who.thumbprint == "" {
		return "the certificate that was entered here"
	}
	return "the certificate whose thumbprint ends with " + who.thumbprint
}

func permissionOf(e Endpoint) string {
	if e == EndpointMachines {
		return machineRead
	}
	return vulnerabilityRead
}

func apiText(e Endpoint) string {
	if e == EndpointMachines {
		return "the machine list"
	}
	return "the vulnerability data"
}
