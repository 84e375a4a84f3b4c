package defendersim

import (
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// assertionType is the only one Entra ID takes: RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionAlgorithms are those of the page "Microsoft identity platform application authentication certificate credentials".
var assertionAlgorithms = []jose.SignatureAlgorithm{jose.PS256, jose.RS256}

// assertion is a signed statement in place of a secret, not yet verified.
type assertion struct {
	token  *jwt.JSONWebToken
	claims jwt.Claims
}

// checkAssertion takes what the client itself signed as made with a certificate, and anything else as the token of a foreign
// issuer.
func (q *entraRequest) checkAssertion(a App, now time.Time) *entraError {
	switch q.form.Get("client_assertion_type") {
	case "":
		return refuse(900144, "{parameter}", "client_assertion_type")
	case assertionType:
	default:
		return refuse(9002313)
	}
	var said assertion
	var err error
	if said.token, err = jwt.ParseSigned(q.form.Get("client_assertion"), assertionAlgorithms); err != nil {
		return refuse(50027)
	}
	if err := said.token.UnsafeClaimsWithoutVerification(&said.claims); err != nil || said.claims.Expiry == nil {
		return refuse(50027)
	}
	if strings.EqualFold(said.claims.Issuer, a.ClientID) {
		return q.checkCertificate(a, said, now)
	}
	return checkFederated(a, said, now)
}

// verified reports whether a key made the signature.
func (s assertion) verified(key any) bool {
	var claims jwt.Claims
	return s.token.Claims(key, &claims) == nil
}

// header is a text of the JOSE header; "" when there is none.
func (s assertion) header(name string) string {
	text, _ := s.token.Headers[0].ExtraHeaders[jose.HeaderKey(name)].(string)
	return text
}

// checkTime allows for clocks that differ as much as tokens are back-dated.
func (s assertion) checkTime(now time.Time) *entraError {
	early := s.claims.NotBefore != nil && now.Before(s.claims.NotBefore.Time().Add(-clockSkew))
	if late := now.After(s.claims.Expiry.Time().Add(clockSkew)); early || late {
		const form = "1/2/2006 3:04:05 PM"
		return refuse(700024, "{now}", now.UTC().Format(form), "{expiry}", s.claims.Expiry.Time().UTC().Format(form))
	}
	return nil
}
