package identity_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
)

// TestKeysOfAnIssuerComeByTLS has an issuer under https name an address of its keys with and without TLS.
func TestKeysOfAnIssuerComeByTLS(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: i.keys})
	})
	plain := httptest.NewServer(keys)
	defer plain.Close()
	mux := http.NewServeMux()
	mux.Handle("/keys", keys)
	server := httptest.NewTLSServer(mux)
	defer server.Close()
	var address string
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": server.URL, "jwks_uri": address})
	})
	for _, c := range []struct {
		address string
		read    bool
	}{{server.URL + "/keys", true}, {plain.URL + "/keys", false}, {"", false}, {"://", false}} {
		address = c.address
		set := identity.FromIssuer(server.URL, server.Client(), i.clock, slog.New(slog.DiscardHandler))
		v := identity.New(identity.Config{
			Issuer: i.server.URL, Audience: audience, Algorithms: []string{"RS256"}, TenantClaim: "tenants", RoleClaim: "role", Keys: set, Now: i.clock,
		})
		if _, err := v.Verify(t.Context(), i.good(nil)); c.read != (err == nil) || !c.read && !fault.Is(err, fault.CodeTokensUnavailable) {
			t.Errorf("keys at %q: %v", c.address, err)
		}
	}
}
