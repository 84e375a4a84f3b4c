package defendersim_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"pgp.internal/defender/internal/connector/defender/defendersim"
)

// keys are made once: they are slow.
var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var made [2]*rsa.PrivateKey
	for i := range made {
		made[i], _ = rsa.GenerateKey(rand.Reader, 2048) // never fails with this size
	}
	return made
})

// certificate is self-signed and ends a year after the clock of the tests begins.
func certificate(t *testing.T, key *rsa.PrivateKey) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application"},
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// statement is an assertion to sign; the tests change one thing each.
type statement struct {
	key    any
	alg    jose.SignatureAlgorithm
	header map[jose.HeaderKey]any
	claims jwt.Claims
}

func (s statement) sign(t *testing.T) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: s.alg, Key: s.key}, &jose.SignerOptions{ExtraHeaders: s.header})
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(s.claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (h *harness) assert(text string, pairs ...string) answer {
	h.t.Helper()
	return h.form(tokenPath, append([]string{"client_secret", "", "client_assertion", text,
		"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, pairs...)...)
}

func (h *harness) codeOf(a answer) int {
	h.t.Helper()
	if a.status == 200 {
		return 0
	}
	codes, _ := a.json(h.t)["error_codes"].([]any)
	if len(codes) != 1 || a.json(h.t)["error"] != "invalid_client" || a.status != 401 {
		h.t.Fatalf("%d %s", a.status, a.body)
	}
	return int(codes[0].(float64))
}

func TestCertificateSignIn(t *testing.T) {
	c := certificate(t, keys()[0])
	h := start(t, func(cfg *defendersim.Config) {
		app := &cfg.Directory.Apps[0]
		app.Secret, app.Certificates = "", []string{pemOf("CERTIFICATE", certificate(t, keys()[1]).Raw), pemOf("CERTIFICATE", c.Raw)}
	})
	long, short := sha256.Sum256(c.Raw), sha1.Sum(c.Raw)
	base64url := base64.RawURLEncoding.EncodeToString
	good := func() statement {
		now := h.clock.now()
		return statement{keys()[0], jose.PS256, map[jose.HeaderKey]any{"x5t#S256": base64url(long[:])}, jwt.Claims{Issuer: clientID, Subject: clientID,
			Audience: jwt.Audience{h.url + tokenPath}, Expiry: jwt.NewNumericDate(now.Add(10 * time.Minute)), NotBefore: jwt.NewNumericDate(now), ID: "1"}}
	}
	for name, tt := range map[string]struct {
		change func(*statement)
		code   int
	}{
		"SHA-256 thumbprint": {},
		"SHA-1 thumbprint":   {func(s *statement) { s.alg, s.header = jose.RS256, map[jose.HeaderKey]any{"x5t": base64url(short[:])} }, 0},
		"plain base64": {func(s *statement) {
			s.header = map[jose.HeaderKey]any{"x5t#S256": base64.StdEncoding.EncodeToString(long[:])}
		}, 0},
		"thumbprint as kid": {func(s *statement) { s.header = map[jose.HeaderKey]any{"kid": hex.EncodeToString(short[:])} }, 0},
		"audience of Entra's host": {func(s *statement) {
			s.claims.Audience = jwt.Audience{"https://login.microsoftonline.com/" + dirID + "/oauth2/v2.0/token"}
		}, 0},
		"audience is the issuer": {func(s *statement) {
			s.claims.Audience = jwt.Audience{"https://login.microsoftonline.com/CONTOSO.com/v2.0"}
		}, 0},
		"another key":           {func(s *statement) { s.key = keys()[1] }, 700027},
		"key of no certificate": {func(s *statement) { s.header = map[jose.HeaderKey]any{"x5t": base64url(long[:20])} }, 700027},
		"no key named":          {func(s *statement) { s.header = nil }, 700027},
		"expired":               {func(s *statement) { s.claims.Expiry = jwt.NewNumericDate(h.clock.now().Add(-6 * time.Minute)) }, 700024},
		"not yet valid":         {func(s *statement) { s.claims.NotBefore = jwt.NewNumericDate(h.clock.now().Add(6 * time.Minute)) }, 700024},
		"no end":                {func(s *statement) { s.claims.Expiry = nil }, 50027},
		"symmetric":             {func(s *statement) { s.key, s.alg = []byte(strings.Repeat("x", 32)), jose.HS256 }, 50027},
		"another directory":     {func(s *statement) { s.claims.Audience = jwt.Audience{h.url + "/common/oauth2/v2.0/token"} }, 700023},
		"US login host": {func(s *statement) {
			s.claims.Audience = jwt.Audience{"https://login.microsoftonline.us/" + dirID + "/oauth2/v2.0/token"}
		}, 700023},
		"another subject": {func(s *statement) { s.claims.Subject = dirID }, 700021},
		"another issuer":  {func(s *statement) { s.claims.Issuer = dirID }, 700211},
	} {
		t.Run(name, func(t *testing.T) {
			s := good()
			if tt.change != nil {
				tt.change(&s)
			}
			a := h.assert(s.sign(t))
			if got := h.codeOf(a); got != tt.code {
				t.Fatalf("%d, want %d: %s", got, tt.code, a.body)
			}
			if tt.code == 0 && claimsOf(t, a.json(t)["access_token"].(string))["appidacr"] != "2" {
				t.Error("appidacr is not 2")
			}
		})
	}
	signed := good().sign(t)
	if got := h.codeOf(h.assert("abc")); got != 50027 {
		t.Errorf("garbage: %d", got)
	}
	if got := h.codeOf(h.assert(signed[:len(signed)-8] + "AAAAAAAA")); got != 700027 {
		t.Errorf("altered signature: %d", got)
	}
	if a := h.assert(signed, "client_assertion_type", ""); a.status != 400 {
		t.Errorf("without a type: %d", a.status)
	}
	if a := h.assert(signed, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"); a.status != 400 {
		t.Errorf("with another type: %d", a.status)
	}
	if got := h.codeOf(h.form(tokenPath)); got != 7000215 {
		t.Errorf("a secret where there is none: %d", got)
	}
	h.clock.advance(366 * 24 * time.Hour)
	if a := h.assert(good().sign(t)); h.codeOf(a) != 700027 || !strings.Contains(string(a.body), "expired") {
		t.Errorf("expired certificate: %s", a.body)
	}
}

func TestFederatedSignIn(t *testing.T) {
	public, err := x509.MarshalPKIXPublicKey(&keys()[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	const issuer, other = "https://token.actions.example", "https://kubernetes.example"
	h := start(t, func(cfg *defendersim.Config) {
		app := &cfg.Directory.Apps[0]
		app.Secret = ""
		app.Federated = []defendersim.FederatedCredential{
			{Issuer: issuer, Subject: "repo:a/b", PublicKey: pemOf("PUBLIC KEY", public)},
			{Issuer: other, Subject: "pod", Audience: "defender", Keys: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
				{KeyID: "old", Key: &keys()[0].PublicKey}, {KeyID: "new", Key: &keys()[1].PublicKey}}}},
		}
	})
	soon := jwt.NewNumericDate(h.clock.now().Add(time.Hour))
	pod := func(kid string, signer int) statement {
		return statement{keys()[signer], jose.RS256, map[jose.HeaderKey]any{"kid": kid}, jwt.Claims{Issuer: other, Subject: "pod", Audience: jwt.Audience{"defender"}, Expiry: soon}}
	}
	for name, tt := range map[string]struct {
		statement
		code int
	}{
		"public key":        {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "repo:a/b", Audience: jwt.Audience{"api://AzureADTokenExchange"}, Expiry: soon}}, 0},
		"key set":           {pod("new", 1), 0},
		"wrong key of set":  {pod("old", 1), 50013},
		"another algorithm": {statement{keys()[0], jose.PS256, nil, jwt.Claims{Issuer: other, Subject: "pod", Audience: jwt.Audience{"defender"}, Expiry: soon}}, 50013},
		"another issuer":    {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer + "/", Subject: "repo:a/b", Expiry: soon}}, 700211},
		"another subject":   {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "repo:a/c", Expiry: soon}}, 700213},
		"subject of other":  {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "pod", Expiry: soon}}, 700213},
		"another audience":  {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "repo:a/b", Audience: jwt.Audience{"defender"}, Expiry: soon}}, 700212},
		"no audience":       {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "repo:a/b", Expiry: soon}}, 700212},
		"expired": {statement{keys()[0], jose.RS256, nil, jwt.Claims{Issuer: issuer, Subject: "repo:a/b", Audience: jwt.Audience{"api://AzureADTokenExchange"},
			Expiry: jwt.NewNumericDate(h.clock.now().Add(-time.Hour))}}, 700024},
	} {
		t.Run(name, func(t *testing.T) {
			a := h.assert(tt.sign(t))
			if got := h.codeOf(a); got != tt.code {
				t.Fatalf("%d, want %d: %s", got, tt.code, a.body)
			}
			if tt.code == 0 && claimsOf(t, a.json(t)["access_token"].(string))["appidacr"] != "2" {
				t.Error("appidacr is not 2")
			}
		})
	}
}

func TestBadCredentialsOfApplications(t *testing.T) {
	h, call := control(t)
	at := "/directories/" + dirID + "/apps/" + clientID
	private := keys()[0]
	symmetric := `{"kty":"oct","k":"c2VjcmV0"}`
	for name, body := range map[string]string{
		"no credential":      `{"roles":[]}`,
		"certificate no PEM": `{"certificates":["abc"]}`,
		"PEM of a key":       `{"certificates":["` + strings.ReplaceAll(pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(private)), "\n", `\n`) + `"]}`,
		"no issuer":          `{"federated":[{"subject":"x","jwks":{"keys":[]}}]}`,
		"no key":             `{"federated":[{"issuer":"i","subject":"x","jwks":{"keys":[]}}]}`,
		"secret key":         `{"federated":[{"issuer":"i","subject":"x","jwks":{"keys":[` + symmetric + `]}}]}`,
		"public key no PEM":  `{"federated":[{"issuer":"i","subject":"x","public_key":"abc"}]}`,
		"unknown refusal":    `{"secret":"s","refuse_with":12}`,
	} {
		if a := call("PUT", at, body); a.status != 400 {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	h.token() // the good registration is still there
}
