package identity_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
)

// TestUnknownKeysAreAskedForOnceAMinute lets many tokens with keys that nobody knows arrive at once, and a new key appear.
func TestUnknownKeysAreAskedForOnceAMinute(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	renewed := i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"kid": "rsa-2"}, i.claims(nil))
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := v.Verify(t.Context(), renewed); !fault.Is(err, fault.CodeUnauthenticated) {
				t.Errorf("an unknown key: %v", err)
			}
		})
	}
	all.Wait()
	if n := i.asked.Load(); n != 1 {
		t.Errorf("50 tokens with unknown keys had the keys read %d times", n)
	}
	i.pass(59 * time.Second)
	if _, err := v.Verify(t.Context(), renewed); !fault.Is(err, fault.CodeUnauthenticated) || i.asked.Load() != 1 {
		t.Errorf("within the minute: %v, read %d times", err, i.asked.Load())
	}
	i.mu.Lock()
	i.keys = []jose.JSONWebKey{{Key: i.rsa.Public(), KeyID: "rsa-2"}}
	i.mu.Unlock()
	i.pass(time.Second)
	if _, err := v.Verify(t.Context(), renewed); err != nil || i.asked.Load() != 2 {
		t.Errorf("after a minute the new key: %v, read %d times", err, i.asked.Load())
	}
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("a key that was taken away: %v", err)
	}
}

func TestAnIssuerThatIsAway(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v, good := i.verifier(), i.good(nil)
	i.broken.Store(true)
	if _, err := v.Verify(t.Context(), good); !fault.Is(err, fault.CodeTokensUnavailable) {
		t.Errorf("before any keys were read: %v", err)
	}
	i.broken.Store(false)
	i.pass(time.Minute)
	if _, err := v.Verify(t.Context(), good); err != nil {
		t.Errorf("back: %v", err)
	}
	i.broken.Store(true)
	i.pass(20 * time.Minute)
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
		t.Errorf("the last keys do not count while it is away: %v", err)
	}
	if _, err := v.Verify(t.Context(), i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"kid": "no"}, i.claims(nil))); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("an unknown key while it is away: %v", err)
	}
	i.pass(24 * time.Hour)
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeTokensUnavailable) {
		t.Errorf("a day after the keys were read: %v", err)
	}
	if n := i.warnings.Load(); n < 2 {
		t.Errorf("the log has %d lines about it", n)
	}
}

// TestAllKeysTakenBack has an issuer publish a set without keys, as it does when they are known to others.
func TestAllKeysTakenBack(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	i.keys = []jose.JSONWebKey{}
	i.mu.Unlock()
	i.pass(31 * time.Minute)
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("a key that was taken back with all others: %v", err)
	}
}

func TestKeysThatAreNoneForSignatures(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	weak, err := rsa.GenerateKey(rand.Reader, 1024) //nolint:gosec // it is to be refused
	if err != nil {
		t.Fatal(err)
	}
	i.keys = []jose.JSONWebKey{
		{Key: weak.Public(), KeyID: "weak"}, {Key: i.rsa.Public(), KeyID: "enc", Use: "enc"}, {Key: []byte("a shared key of some length"), KeyID: "shared"},
		{Key: i.ec.Public(), KeyID: "good"},
	}
	v := i.verifier()
	for kid, text := range map[string]string{
		"enc":    i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"kid": "enc"}, i.claims(nil)),
		"shared": i.sign(jwt.SigningMethodHS256, []byte("a shared key of some length"), map[string]any{"kid": "shared"}, i.claims(nil)),
		"weak":   i.sign(jwt.SigningMethodRS256, weak, map[string]any{"kid": "weak"}, i.claims(nil)),
	} {
		if _, err := v.Verify(t.Context(), text); !fault.Is(err, fault.CodeUnauthenticated) {
			t.Errorf("%s: %v", kid, err)
		}
	}
}

func TestKeysFromAFile(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	name := filepath.Join(t.TempDir(), "keys.json")
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: i.keys})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, body, 0o600); err != nil {
		t.Fatal(err)
	}
	v := identity.New(identity.Config{
		Issuer: i.server.URL, Audience: audience, Algorithms: []string{"RS256"}, TenantClaim: "tenants", RoleClaim: "role",
		Keys: identity.FromFile(name, i.clock, slog.New(slog.DiscardHandler)), Now: i.clock,
	})
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil || i.asked.Load() != 0 {
		t.Errorf("%v, the issuer was asked %d times", err, i.asked.Load())
	}
}
