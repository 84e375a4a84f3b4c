package httpapi_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// signIn is how the application proves itself. The zero value is a client secret.
type signIn struct {
	method      api.SignInMethod
	certificate api.Secret
	trust       func(*defendersim.App) // what Microsoft knows of it
	secret      string                 // words of it that may come out nowhere
}

// app is an application to which nothing is lacking.
func (a *answers) app() defendersim.App {
	own := app()
	if a.signs.trust != nil {
		own.Secret, own.SecretExpiresAt = "", time.Time{}
		a.signs.trust(&own)
	}
	return own
}

// entered is what somebody enters to connect a directory.
func (a *answers) entered(directory string) api.ConnectRequest {
	f := entered(directory, simClient, simSecret)
	if a.signs.method != "" {
		f.Credentials.Method, f.Credentials.ClientSecret, f.Credentials.Certificate = &a.signs.method, "", a.signs.certificate
	}
	return f
}

// byCertificate signs in with a certificate that was uploaded.
func byCertificate(t *testing.T) signIn {
	t.Helper()
	pasted := newCertificate(t)
	private, public := pem.Decode([]byte(pasted))
	if private == nil {
		t.Fatal("no private key")
	}
	lines := strings.Split(string(pem.EncodeToMemory(private)), "\n")
	return signIn{method: api.SignInCertificate, certificate: pasted, secret: strings.Join(lines[1:len(lines)-2], " "),
		trust: func(app *defendersim.App) { app.Certificates = []string{string(public)} }}
}

// byPlatform signs in with the token of the platform that lies in the file.
func byPlatform(t *testing.T, file string) signIn {
	t.Helper()
	const issuer, subject = "https://issuer.example/cluster", "system:serviceaccount:pgp:defenderd"
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	must(t, err)
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{Issuer: issuer, Subject: subject, Audience: jwt.ClaimStrings{"api://AzureADTokenExchange"},
		IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}).SignedString(key)
	must(t, err)
	must(t, os.WriteFile(file, []byte(token), 0o600))
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	must(t, err)
	return signIn{method: api.SignInFederated, secret: strings.ReplaceAll(token, ".", " "), trust: func(app *defendersim.App) {
		app.Federated = []defendersim.FederatedCredential{{Issuer: issuer, Subject: subject, PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))}}
	}}
}

// because is the refusal of a certificate for one of several reasons.
func because(reason, code, remedy string) trouble {
	text := fmt.Sprintf(`{"error":"invalid_client","error_description":"AADSTS700027: Client assertion contains an invalid signature. [Reason - %s.]","error_codes":[700027],`+
		`"trace_id":"11111111-1111-1111-1111-111111111111","correlation_id":"22222222-2222-2222-2222-222222222222"}`, reason)
	return trouble{name: "AADSTS700027, " + reason, arrange: tokenText(401, "application/json", text), code: code, acts: admin, remedy: remedy, ids: true}
}

func certificateTroubles() []trouble {
	all := []trouble{
		because("The key used is expired", api.CodeSecretExpired, "Make a new certificate"),
		because("The key was not found", api.CodeCredentialsInvalid, "upload the public part of the certificate whose thumbprint ends with"),
		because("The key does not fit", api.CodeCredentialsInvalid, "Or enter another certificate"),
	}
	all = append(all, numbered(api.CodeUpstreamUnexpected, operator, "sets the clock", 700024)...)
	all = append(all, numbered(api.CodeUpstreamUnexpected, operator, "login host", 700023)...)
	return append(all, numbered(api.CodeUpstreamUnexpected, operator, "Nothing to mend at Microsoft", 700021, 50027, 50013)...)
}

func federatedTroubles() []trouble {
	all := numbered(api.CodeCredentialsInvalid, admin, `enter issuer "https://issuer.example/cluster", subject "system:serviceaccount:pgp:defenderd"`, 700027, 700211, 700212, 700213)
	all = append(all, numbered(api.CodeFederatedToken, operator, "what renews it", 700024, 50013, 50027)...)
	all = append(all, numbered(api.CodeUpstreamUnexpected, operator, "login host", 700023)...)
	return append(all, numbered(api.CodeUpstreamUnexpected, operator, "Nothing to mend at Microsoft", 700021)...)
}

// TestEveryAnswerToAStatementHasOneMeaning is TestEveryAnswerOfMicrosoftHasOneMeaning for sign-ins that send no secret but a signed
// statement: by certificate, and by the platform's own identity.
func TestEveryAnswerToAStatementHasOneMeaning(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "token")
	for name, c := range map[string]struct {
		signs    signIn
		troubles []trouble
	}{"certificate": {byCertificate(t), certificateTroubles()}, "platform": {byPlatform(t, file), federatedTroubles()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAnswers(t, func(cfg *defender.Config) { cfg.FederatedTokenFile = file })
			a.signs = c.signs
			a.prove(t, 10*time.Second, c.troubles)
			if n := a.marked.Load(); n < int64(3*len(c.troubles)) {
				t.Errorf("only %d refusals held foreign words", n)
			}
		})
	}
}
