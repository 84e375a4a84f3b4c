package identity_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/identity"
)

const audience = "https://defender.pgp.example"

// issuer signs tokens and tells its keys over HTTP.
type issuer struct {
	t      *testing.T
	server *httptest.Server
	asked  atomic.Int64 // for its keys
	broken atomic.Bool

	warnings lines // of the log
	rsa      *rsa.PrivateKey
	ec       *ecdsa.PrivateKey

	mu   sync.Mutex
	keys []jose.JSONWebKey
	now  time.Time
}

// lines counts what is logged.
type lines struct{ atomic.Int64 }

// Write implements io.Writer.
func (l *lines) Write(p []byte) (int, error) {
	l.Add(1)
	return len(p), nil
}

// keysOfTests are slow to make.
var keysOfTests = sync.OnceValues(func() (*rsa.PrivateKey, *ecdsa.PrivateKey) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return r, e
})

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	i := &issuer{t: t, now: time.Now()}
	i.rsa, i.ec = keysOfTests()
	i.keys = []jose.JSONWebKey{{Key: i.rsa.Public(), KeyID: "rsa-1", Use: "sig"}, {Key: i.ec.Public(), KeyID: "ec-1", Algorithm: "ES256"}}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.server.URL, "jwks_uri": i.server.URL + "/keys"})
	})
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		i.asked.Add(1)
		if i.broken.Load() {
			http.Error(w, "away", http.StatusServiceUnavailable)
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	})
	i.server = httptest.NewServer(mux)
	t.Cleanup(i.server.Close)
	return i
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) pass(d time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.now = i.now.Add(d)
}

func (i *issuer) verifier() *identity.Verifier {
	return identity.New(identity.Config{
		Issuer: i.server.URL, Audience: audience, Algorithms: []string{"RS256", "ES256"}, Skew: 30 * time.Second, TenantClaim: "tenants",
		RoleClaim: "role", Keys: identity.FromIssuer(i.server.URL, i.server.Client(), i.clock, slog.New(slog.NewTextHandler(&i.warnings, nil))), Now: i.clock,
	})
}

func (i *issuer) claims(change func(jwt.MapClaims)) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": i.server.URL, "aud": audience, "sub": "ada@contoso.example", "name": "Ada", "role": "analyst", "tenants": []string{"it@contoso.example"},
		"iat": i.clock().Unix(), "exp": i.clock().Add(time.Hour).Unix(),
	}
	if change != nil {
		change(c)
	}
	return c
}

// sign makes a token; header members given replace the usual ones.
func (i *issuer) sign(method jwt.SigningMethod, key any, header map[string]any, claims jwt.Claims) string {
	i.t.Helper()
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = "rsa-1"
	for name, value := range header {
		token.Header[name] = value
	}
	text, err := token.SignedString(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

// with is a good token but for one claim.
func (i *issuer) with(name string, value any) string {
	return i.good(func(c jwt.MapClaims) { c[name] = value })
}

func (i *issuer) good(change func(jwt.MapClaims)) string {
	return i.sign(jwt.SigningMethodRS256, i.rsa, nil, i.claims(change))
}
