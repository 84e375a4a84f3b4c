package defendersim

import (
	"bytes"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a thumbprint is a name, not a protection
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"time"
)

func readCertificate(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("not PEM of a certificate")
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, err
	}
	if _, ok := c.PublicKey.(*rsa.PublicKey); !ok {
		return nil, errors.New("its key is not RSA")
	}
	return c, nil
}

// checkCertificate checks an assertion as the page "Microsoft identity platform application authentication certificate
// credentials" describes it: key, signature, audience, subject, time.
func (q *entraRequest) checkCertificate(a App, said assertion, now time.Time) *entraError {
	refuseKey := func(reason string) *entraError {
		return refuse(700027, "{reason}", reason, "{thumbprint}", said.thumbprint())
	}
	i := slices.IndexFunc(a.certificates, said.names)
	switch {
	case i < 0:
		return refuseKey("The key was not found")
	case !said.verified(a.certificates[i].PublicKey):
		return refuseKey("The signature does not fit the key")
	case now.After(a.certificates[i].NotAfter):
		return refuseKey("The key used is expired")
	case !q.addressed(said.claims.Audience):
		return refuse(700023)
	case !strings.EqualFold(said.claims.Subject, a.ClientID):
		return refuse(700021)
	}
	return said.checkTime(now)
}

// names reports whether the header points to a certificate: by x5t#S256, x5t, or the thumbprint as kid.
func (s assertion) names(c *x509.Certificate) bool {
	long, short := sha256.Sum256(c.Raw), sha1.Sum(c.Raw) //nolint:gosec // see above
	if s.header("x5t#S256") != "" {
		return bytes.Equal(s.hash("x5t#S256"), long[:])
	}
	if s.header("x5t") != "" {
		return bytes.Equal(s.hash("x5t"), short[:])
	}
	return strings.EqualFold(s.token.Headers[0].KeyID, hex.EncodeToString(short[:]))
}

// hash is one of the header's hashes; nil when it is none. RFC 7515 wants base64url, but MSAL for Go sends plain base64 with
// padding, and Entra ID takes both.
func (s assertion) hash(name string) []byte {
	text := strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(s.header(name))
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return raw
}

// thumbprint is what the client named its key, as Entra repeats it: in hexadecimal.
func (s assertion) thumbprint() string {
	raw := s.hash("x5t#S256")
	if len(raw) == 0 {
		raw = s.hash("x5t")
	}
	return strings.ToUpper(hex.EncodeToString(raw))
}

// addressed reports whether an assertion is for this directory: its audience is a token endpoint or the v2.0 issuer, at the
// address the client used or at the login host of the cloud.
func (q *entraRequest) addressed(audience []string) bool {
	bases := []string{q.base}
	for _, host := range realms[q.settings.Cloud].login {
		bases = append(bases, "https://"+host)
	}
	for _, base := range bases {
		for _, tenant := range []string{q.tenant, q.settings.ID, q.settings.Domain} {
			for _, path := range []string{"/oauth2/v2.0/token", "/oauth2/token", "/v2.0"} {
				if slices.ContainsFunc(audience, func(a string) bool { return strings.EqualFold(a, base+"/"+tenant+path) }) {
					return true
				}
			}
		}
	}
	return false
}
