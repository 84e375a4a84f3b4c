package defender

import (
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
)

// assertionType is the only one Entra ID takes: RFC 7523 section 2.2.
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// assertionLife is how long a signed statement is good for: Microsoft's page "Microsoft identity platform application
// authentication certificate credentials" recommends 5 to 10 minutes.
const assertionLife = 5 * time.Minute

// grant is the client-credentials grant with what the application proves itself with; a failure is not Microsoft's.
func (s *source) grant() (clientcredentials.Config, *failure) {
	g := clientcredentials.Config{
		ClientID: s.credentials.ClientID,
		TokenURL: s.conn.login + "/" + url.PathEscape(s.credentials.DirectoryID) + "/oauth2/v2.0/token",
		Scopes:   []string{s.conn.cfg.Scope},
		// Without a fixed style the library tries a second one after a refusal, and a wrong secret counts twice.
		AuthStyle: oauth2.AuthStyleInParams,
	}
	var assertion string
	var failed *failure
	switch s.credentials.Method {
	case connector.MethodCertificate:
		assertion, failed = s.signedAssertion(g.TokenURL)
	case connector.MethodFederated:
		assertion, failed = s.federatedAssertion()
	default:
		g.ClientSecret = s.credentials.Secret.Reveal()
		return g, nil
	}
	g.EndpointParams = url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion}}
	return g, failed
}

// signedAssertion states by the certificate's key that this is the application: RFC 7523 section 3. Each is used once.
func (s *source) signedAssertion(tokenURL string) (string, *failure) {
	pair, err := readKeyPair(s.credentials.Secret.Reveal())
	if err != nil {
		return "", &failure{fault: fault.New(fault.CodeCredentialsInvalid, "The stored certificate cannot be used any more."), origin: errNoToken}
	}
	now, thumbprint := s.conn.cfg.Clock(), sha256.Sum256(pair.certificate.Raw)
	statement := jwt.NewWithClaims(jwt.SigningMethodPS256, jwt.RegisteredClaims{
		Issuer: s.credentials.ClientID, Subject: s.credentials.ClientID, Audience: jwt.ClaimStrings{tokenURL}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(assertionLife)),
	})
	statement.Header["x5t#S256"] = base64.RawURLEncoding.EncodeToString(thumbprint[:])
	text, err := statement.SignedString(pair.key)
	if err != nil {
		return "", &failure{fault: fault.Wrap(err, fault.CodeInternal, "The statement to Microsoft Entra ID could not be signed."), origin: errNoToken}
	}
	return text, nil
}

// federatedAssertion is the platform's token as it is now.
func (s *source) federatedAssertion() (string, *failure) {
	if s.conn.cfg.FederatedTokenFile == "" {
		return "", &failure{fault: fault.New(fault.CodeFederatedToken, "This service is not set up for federated sign-in any more."), origin: errNoToken}
	}
	t, err := readPlatformToken(s.conn.cfg.FederatedTokenFile)
	if err != nil {
		s.conn.cfg.Logger.Error("the platform's token cannot be read", "error", err)
		return "", &failure{fault: fault.New(fault.CodeFederatedToken, "The token of the platform cannot be read."), origin: errNoToken}
	}
	s.tokens.trust.Store(&t.trust)
	return t.text, nil
}
