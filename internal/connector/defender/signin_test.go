package defender_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // a thumbprint is a name
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/connector/defender"
	"pgp.internal/defender/internal/connector/defender/defendersim"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/seal"
)

// pairOf is a self-signed certificate with its key, as a customer pastes it, and its public part, as Microsoft gets it.
func pairOf(t *testing.T, key *rsa.PrivateKey, until time.Time) (pasted, public string) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "application"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	public = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})) + public, public
}

// platform is the identity of the machine the service runs on: a token in a file, and an issuer with a key.
type platform struct {
	t    *testing.T
	key  *rsa.PrivateKey
	file string
}

const (
	platformIssuer   = "https://issuer.example/cluster-1"
	platformSubject  = "system:serviceaccount:pgp:defenderd"
	platformAudience = "api://AzureADTokenExchange"
)

func newPlatform(t *testing.T) *platform {
	t.Helper()
	p := &platform{t, defender.TestKeys()[0], filepath.Join(t.TempDir(), "token")}
	p.renew(nil)
	return p
}

// renew replaces the token in its file.
func (p *platform) renew(change func(*jwt.RegisteredClaims)) {
	p.t.Helper()
	claims := jwt.RegisteredClaims{Issuer: platformIssuer, Subject: platformSubject, Audience: jwt.ClaimStrings{platformAudience},
		IssuedAt: jwt.NewNumericDate(time.Now()), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))}
	if change != nil {
		change(&claims)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(p.key)
	if err == nil {
		err = os.WriteFile(p.file, []byte(text+"\n"), 0o600)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// trusted is the federated credential that lets the platform in.
func (p *platform) trusted() defendersim.FederatedCredential {
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		p.t.Fatal(err)
	}
	return defendersim.FederatedCredential{Issuer: platformIssuer, Subject: platformSubject, PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}
}

// signIn checks credentials at a simulated Microsoft that knows one application.
func signIn(t *testing.T, app defendersim.App, cfg defender.Config, creds connector.Credentials) connector.Check {
	t.Helper()
	app.ClientID, app.Roles = simClient, []string{defendersim.RoleMachineRead, defendersim.RoleVulnerabilityRead}
	sim := defendersim.New(defendersim.Config{Seed: 7, CatalogueSize: 300, NoQuotas: true, Directory: &defendersim.DirectorySpec{ID: simDirectory, Machines: 3, Apps: []defendersim.App{app}}})
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	cfg.LoginURL, cfg.APIURL, cfg.AllowInsecure, cfg.Budget = srv.URL, srv.URL, true, defender.Unlimited{}
	c, err := defender.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	creds.DirectoryID, creds.ClientID = simDirectory, simClient
	for _, check := range c.Open(creds).Check(t.Context(), connector.Probe{Assets: true, Vulnerabilities: true}) {
		if !check.OK && !check.Skipped {
			return check
		}
	}
	return connector.Check{}
}

func TestCertificateSignIn(t *testing.T) {
	t.Parallel()
	pasted, public := pairOf(t, defender.TestKeys()[0], time.Now().AddDate(1, 0, 0))
	_, foreign := pairOf(t, defender.TestKeys()[1], time.Now().AddDate(1, 0, 0))
	late, latePublic := pairOf(t, defender.TestKeys()[0], time.Now().Add(-time.Minute))
	for name, tc := range map[string]struct {
		app          defendersim.App
		stored, code string
		says         string
	}{
		"works":            {defendersim.App{Certificates: []string{foreign, public}}, pasted, "", ""},
		"not uploaded":     {defendersim.App{Certificates: []string{foreign}}, pasted, fault.CodeCredentialsInvalid, "upload the public part of the certificate whose thumbprint ends with " + thumbprintEnd(t, public)},
		"expired":          {defendersim.App{Certificates: []string{latePublic}}, late, fault.CodeSecretExpired, "certificate"},
		"bad signature":    {defendersim.App{Certificates: []string{public}, RefuseWith: 50027}, pasted, fault.CodeUpstreamUnexpected, "operator"},
		"other clock":      {defendersim.App{Certificates: []string{public}, RefuseWith: 700024}, pasted, fault.CodeUpstreamUnexpected, "clock"},
		"other audience":   {defendersim.App{Certificates: []string{public}, RefuseWith: 700023}, pasted, fault.CodeUpstreamUnexpected, "login host"},
		"secrets only":     {defendersim.App{Secret: simSecret}, pasted, fault.CodeCredentialsInvalid, "upload the public part"},
		"stored is broken": {defendersim.App{Certificates: []string{public}}, "nonsense", fault.CodeCredentialsInvalid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := signIn(t, tc.app, defender.Config{}, connector.Credentials{Method: connector.MethodCertificate, Secret: seal.NewSecret(tc.stored)})
			if got.Code != tc.code || !strings.Contains(got.Remedy+got.Cause, tc.says) {
				t.Errorf("%+v", got)
			}
		})
	}
}

// thumbprintEnd is what Microsoft's portal shows at the end of a certificate's thumbprint.
func thumbprintEnd(t *testing.T, public string) string {
	t.Helper()
	block, _ := pem.Decode([]byte(public))
	if block == nil {
		t.Fatal("no certificate")
	}
	sum := sha1.Sum(block.Bytes) //nolint:gosec // a thumbprint is a name
	return strings.ToUpper(hex.EncodeToString(sum[:]))[34:]
}

// TestARefusedStatementIsToldByTheWayOfSigningIn has Entra refuse a statement's signature whatever was sent.
func TestARefusedStatementIsToldByTheWayOfSigningIn(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.renew(nil)
	pasted, public := pairOf(t, defender.TestKeys()[0], time.Now().AddDate(1, 0, 0))
	for method, tc := range map[connector.Method]struct {
		app    defendersim.App
		secret string
		says   string
		never  string
	}{
		connector.MethodSecret:      {defendersim.App{Secret: simSecret}, simSecret, "new client secret", "thumbprint"},
		connector.MethodCertificate: {defendersim.App{Certificates: []string{public}}, pasted, thumbprintEnd(t, public), "client secret"},
		connector.MethodFederated:   {defendersim.App{Federated: []defendersim.FederatedCredential{p.trusted()}}, "", "Federated credentials", "thumbprint"},
	} {
		t.Run(string(method), func(t *testing.T) {
			t.Parallel()
			tc.app.RefuseWith = 700027
			got := signIn(t, tc.app, defender.Config{FederatedTokenFile: p.file}, connector.Credentials{Method: method, Secret: seal.NewSecret(tc.secret)})
			text := got.Detail + got.Cause + got.Remedy
			if got.Code != fault.CodeCredentialsInvalid || !strings.Contains(text, tc.says) || strings.Contains(text, tc.never) || strings.ContainsAny(text, "{}") {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestFederatedSignIn(t *testing.T) {
	t.Parallel()
	other := "https://issuer.example/cluster-2"
	for name, tc := range map[string]struct {
		trusted func(*defendersim.FederatedCredential)
		token   func(*jwt.RegisteredClaims)
		code    string
		says    string
		refusal int // of Entra ID, whatever was sent
	}{
		"works":           {},
		"other issuer":    {trusted: func(f *defendersim.FederatedCredential) { f.Issuer = other }, code: fault.CodeCredentialsInvalid, says: `issuer "` + platformIssuer + `"`},
		"other subject":   {trusted: func(f *defendersim.FederatedCredential) { f.Subject = "x" }, code: fault.CodeCredentialsInvalid, says: `subject "` + platformSubject + `"`},
		"other audience":  {trusted: func(f *defendersim.FederatedCredential) { f.Audience = "x" }, code: fault.CodeCredentialsInvalid, says: `audience "` + platformAudience + `"`},
		"other keys":      {trusted: func(f *defendersim.FederatedCredential) { *f = (&platform{t, defender.TestKeys()[1], ""}).trusted() }, code: fault.CodeFederatedToken, says: "keys"},
		"token too old":   {token: func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) }, code: fault.CodeFederatedToken, says: "expired"},
		"token of nobody": {token: func(c *jwt.RegisteredClaims) { c.Subject = "" }, code: fault.CodeFederatedToken, says: "file"},
		"malformed token": {refusal: 50027, code: fault.CodeFederatedToken, says: "issuer"},
		"other signature": {refusal: 50013, code: fault.CodeFederatedToken, says: "issuer"},
		"other client id": {refusal: 700021, code: fault.CodeUpstreamUnexpected, says: "operator"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlatform(t)
			p.renew(tc.token)
			f := p.trusted()
			if tc.trusted != nil {
				tc.trusted(&f)
			}
			got := signIn(t, defendersim.App{Federated: []defendersim.FederatedCredential{f}, RefuseWith: tc.refusal}, defender.Config{FederatedTokenFile: p.file}, connector.Credentials{Method: connector.MethodFederated})
			if got.Code != tc.code || !strings.Contains(got.Remedy+got.Cause, tc.says) || strings.Contains(got.Remedy+got.Detail, p.file) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestFederatedSignInReadsTheTokenAfresh(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	p.renew(func(c *jwt.RegisteredClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Hour)) })
	app := defendersim.App{ClientID: simClient, Federated: []defendersim.FederatedCredential{p.trusted()}}
	sim := defendersim.New(defendersim.Config{Seed: 7, CatalogueSize: 300, NoQuotas: true, Directory: &defendersim.DirectorySpec{ID: simDirectory, Machines: 3, Apps: []defendersim.App{app}}})
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	c, err := defender.New(defender.Config{LoginURL: srv.URL, APIURL: srv.URL, AllowInsecure: true, Budget: defender.Unlimited{}, FederatedTokenFile: p.file})
	if err != nil {
		t.Fatal(err)
	}
	source := c.Open(connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Method: connector.MethodFederated})
	token := func() bool { return source.Check(t.Context(), connector.Probe{})[0].OK }
	if token() {
		t.Fatal("an expired token of the platform signs in")
	}
	if p.renew(nil); !token() {
		t.Error("the renewed token was not read")
	}
}

func TestFederatedSignInIsOfferedWhereItIsSetUp(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	for file, offered := range map[string]bool{"": false, p.file: true, p.file + ".gone": false} {
		c, err := defender.New(defender.Config{Budget: defender.Unlimited{}, FederatedTokenFile: file})
		if err != nil {
			t.Fatal(err)
		}
		d := c.Describe()
		i := slices.IndexFunc(d.Fields, func(f connector.FormField) bool { return f.Name == "credentials.method" })
		if (d.Federation != nil) != offered || slices.Contains(d.Fields[i].Options, "federated") != offered {
			t.Errorf("%q: %+v, options %v", file, d.Federation, d.Fields[i].Options)
		}
		if steps := strings.Join(d.SetupSteps, " "); strings.Contains(steps, platformSubject) != offered {
			t.Errorf("%q: %s", file, steps)
		}
		_, fields := c.Shape(connector.Credentials{DirectoryID: simDirectory, ClientID: simClient, Method: connector.MethodFederated})
		if refused := len(fields) == 1 && fields[0].Code == "not_available"; refused != (file == "") {
			t.Errorf("%q: %+v", file, fields)
		}
	}
}
