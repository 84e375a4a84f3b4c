package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/tenant"
)

func TestGoodTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	body, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	untyped := i.signRaw(`{"alg":"RS256","kid":"rsa-1"}`, string(body))
	for name, text := range map[string]string{
		"RSA":            i.good(nil),
		"EC":             i.sign(jwt.SigningMethodES256, i.ec, map[string]any{"kid": "ec-1"}, i.claims(nil)),
		"access token":   i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"typ": "at+JWT"}, i.claims(nil)),
		"media type":     i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"typ": "application/at+jwt"}, i.claims(nil)),
		"no type":        untyped,
		"several for":    i.good(func(c jwt.MapClaims) { c["aud"] = []string{"another", audience} }),
		"one tenant":     i.good(func(c jwt.MapClaims) { c["tenants"] = "it@contoso.example" }),
		"within skew":    i.good(func(c jwt.MapClaims) { c["exp"] = i.clock().Add(-29 * time.Second).Unix() }),
		"soon, in skew":  i.good(func(c jwt.MapClaims) { c["nbf"] = i.clock().Add(29 * time.Second).Unix() }),
		"unknown claims": i.good(func(c jwt.MapClaims) { c["else"] = map[string]any{"a": []int{1}} }),
	} {
		got, err := v.Verify(t.Context(), text)
		if err != nil || got.Subject != "ada@contoso.example" || got.Name != "Ada" || got.Role != tenant.Analyst || len(got.Tenants) != 1 || got.Tenants[0] != "it@contoso.example" {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the keys were read %d times", n)
	}
	got, err := v.Verify(t.Context(), i.good(func(c jwt.MapClaims) { c["role"] = "platform"; delete(c, "tenants") }))
	if err != nil || got.Role != tenant.Platform || len(got.Tenants) != 0 {
		t.Errorf("platform: %+v %v", got, err)
	}
}

// part changes one part of a token as text.
func part(t *testing.T, token string, n int, change func(string) string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	parts[n] = base64.RawURLEncoding.EncodeToString([]byte(change(string(text))))
	return strings.Join(parts, ".")
}

// signRaw signs header and claims as they stand.
func (i *issuer) signRaw(header, claims string) string {
	i.t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature, err := jwt.SigningMethodRS256.Sign(text, i.rsa)
	if err != nil {
		i.t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// onceGood are the forged tokens that a token of the issuer becomes with time alone.
var onceGood = []string{"expired", "expires before 1970"}

// TestAnExpiredTokenIsTold spoils one in every other way too: then nothing is.
func TestAnExpiredTokenIsTold(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	expired := func(name string, value any) jwt.MapClaims {
		return i.claims(func(c jwt.MapClaims) { c["exp"], c[name] = i.clock().Add(-time.Hour).Unix(), value })
	}
	got, err := v.Verify(t.Context(), i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("name", "Ada")))
	if !fault.Is(err, fault.CodeUnauthenticated) || got.Subject != "ada@contoso.example" || got.Role != tenant.Analyst || len(got.Tenants) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	for name, text := range map[string]string{
		"a stranger's":        i.sign(jwt.SigningMethodRS256, stranger, nil, expired("name", "Ada")),
		"another issuer":      i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("iss", "https://login.evil.example")),
		"for another service": i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("aud", "https://another.example")),
		"not yet":             i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("nbf", i.clock().Add(time.Hour).Unix())),
		"issued later":        i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("iat", i.clock().Add(time.Hour).Unix())),
		"unknown role":        i.sign(jwt.SigningMethodRS256, i.rsa, nil, expired("role", "root")),
	} {
		if got, err := v.Verify(t.Context(), text); !fault.Is(err, fault.CodeUnauthenticated) || got.Subject+got.Name+string(got.Role) != "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestForgedTokens(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	var fetched atomic.Int64
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(trap.Close)
	der, err := x509.MarshalPKIXPublicKey(i.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	without := func(name string) string { return i.good(func(c jwt.MapClaims) { delete(c, name) }) }
	headed := func(header map[string]any) string {
		return i.sign(jwt.SigningMethodRS256, i.rsa, header, i.claims(nil))
	}
	body, err := json.Marshal(i.claims(nil))
	if err != nil {
		t.Fatal(err)
	}
	plain := string(body)
	own, err := (&jose.JSONWebKey{Key: stranger.Public(), KeyID: "own"}).MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	good := i.good(nil)
	forged := map[string]string{
		"no algorithm":            i.sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, i.claims(nil)),
		"none in capitals":        part(t, good, 0, func(h string) string { return strings.Replace(h, "RS256", "NONE", 1) }),
		"signed with public key":  i.sign(jwt.SigningMethodHS256, public, nil, i.claims(nil)),
		"a stranger's signature":  i.sign(jwt.SigningMethodRS256, stranger, nil, i.claims(nil)),
		"another algorithm":       i.sign(jwt.SigningMethodRS512, i.rsa, nil, i.claims(nil)),
		"key of another kind":     i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"kid": "ec-1"}, i.claims(nil)),
		"kid is a path":           headed(map[string]any{"kid": "../../etc/passwd"}),
		"kid is SQL":              headed(map[string]any{"kid": "' or 1=1 --"}),
		"kid is long":             headed(map[string]any{"kid": strings.Repeat("k", 201)}),
		"kid is a number":         headed(map[string]any{"kid": 1}),
		"no kid":                  headed(map[string]any{"kid": ""}),
		"its own key":             i.sign(jwt.SigningMethodRS256, stranger, map[string]any{"kid": "own", "jwk": json.RawMessage(own)}, i.claims(nil)),
		"its own address of keys": i.sign(jwt.SigningMethodRS256, stranger, map[string]any{"kid": "own", "jku": trap.URL + "/keys"}, i.claims(nil)),
		"its own certificate":     i.sign(jwt.SigningMethodRS256, stranger, map[string]any{"kid": "own", "x5u": trap.URL + "/cert"}, i.claims(nil)),
		"demands an extension":    headed(map[string]any{"crit": []string{"exp"}}),
		"another type":            headed(map[string]any{"typ": "dpop+jwt"}),
		"an empty type":           headed(map[string]any{"typ": ""}),
		"type is null":            i.signRaw(`{"alg":"RS256","kid":"rsa-1","typ":null}`, plain),
		"type is a list":          headed(map[string]any{"typ": []string{"at+jwt"}}),
		"another issuer":          i.with("iss", "https://login.evil.example"),
		"no issuer":               without("iss"),
		"for another service":     i.with("aud", "https://another.example"),
		"an ID token":             i.with("aud", "client-of-the-portal"),
		"for nobody":              without("aud"),
		"expired":                 i.with("exp", i.clock().Add(-61*time.Second).Unix()),
		"never expires":           without("exp"),
		"expires as a text":       i.with("exp", "9999999999"),
		"expires before 1970":     i.with("exp", -1),
		"expires too late":        i.with("exp", 1e300),
		"not yet":                 i.with("nbf", i.clock().Add(time.Minute).Unix()),
		"issued later":            i.with("iat", i.clock().Add(time.Minute).Unix()),
		"no subject":              without("sub"),
		"no role":                 without("role"),
		"unknown role":            i.with("role", "root"),
		"several roles":           i.with("role", []string{"readonly", "admin"}),
		"platform with tenants":   i.with("role", "platform"),
		"altered":                 part(t, good, 1, func(c string) string { return strings.Replace(c, "analyst", "admin\"  ", 1) }),
		"no signature":            good[:strings.LastIndex(good, ".")+1],
		"half a signature":        good[:len(good)-40],
		"a dot more":              good + ".",
		"one part":                "eyJ",
		"a megabyte":              i.with("padding", strings.Repeat("x", 1<<20)),
		"repeated claim":          i.signRaw(`{"alg":"RS256","kid":"rsa-1"}`, `{"role":"readonly",`+plain[1:]),
		"repeated header":         i.signRaw(`{"alg":"none","alg":"RS256","kid":"rsa-1"}`, plain),
		"claims are a list":       i.signRaw(`{"alg":"RS256","kid":"rsa-1"}`, `[`+plain+`]`),
		"something behind":        i.signRaw(`{"alg":"RS256","kid":"rsa-1"}`, plain+`{}`),
		"invalid UTF-8":           i.signRaw(`{"alg":"RS256","kid":"rsa-1"}`, strings.Replace(plain, "Ada", "A\xff", 1)),
	}
	v := i.verifier()
	for name, text := range forged {
		if got, err := v.Verify(t.Context(), text); !fault.Is(err, fault.CodeUnauthenticated) || got.Subject != "" && !slices.Contains(onceGood, name) {
			t.Errorf("%s: %+v %v", name, got, err)
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("an address that a token named was asked %d times", n)
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("the keys were read %d times", n)
	}
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("the good one: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6InJzYS0xIn0.e30.AA")
	keys := identity.FromFile("/nonexistent", time.Now, slog.New(slog.DiscardHandler))
	v := identity.New(identity.Config{
		Issuer: "https://issuer.example", Audience: audience, Algorithms: []string{"RS256"}, TenantClaim: "tenants", RoleClaim: "role", Keys: keys, Now: time.Now,
	})
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := v.Verify(t.Context(), text); err == nil {
			t.Errorf("believed: %+v", got)
		}
	})
}
