package identity_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
)

// TestBoundsOfATokenAreMet goes to each bound of what a token may say, and one beyond it.
func TestBoundsOfATokenAreMet(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	kid := func(id string) string {
		return i.sign(jwt.SigningMethodRS256, i.rsa, map[string]any{"kid": id}, i.claims(nil))
	}
	const year9999 = 253402300799
	cases := map[string]struct {
		token string
		why   identity.Refusal // empty for none
	}{
		"nbf at the beginning": {i.with("nbf", 0), ""}, "iat at the beginning": {i.with("iat", 0), ""}, "iat before it": {i.with("iat", -1), identity.BadTime},
		"exp at the end": {i.with("exp", json.RawMessage("253402300799")), ""}, "exp beyond it": {i.with("exp", json.RawMessage("253402300800")), identity.BadTime},
		"nbf at the end": {i.with("nbf", year9999), identity.NotYetValid}, "nbf beyond it": {i.with("nbf", year9999+1), identity.BadTime},
		"subject": {i.with("sub", strings.Repeat("a", 255)), ""}, "subject too long": {i.with("sub", strings.Repeat("a", 256)), identity.BadSubject},
		"subject with a space": {i.with("sub", "Ada Lovelace"), ""}, "subject with a control character": {i.with("sub", "Ada\x1fLovelace"), identity.BadSubject},
		"subject with DEL": {i.with("sub", "Ada\x7f"), identity.BadSubject}, "no subject": {i.with("sub", ""), identity.BadSubject},
		"id of a key": {kid(strings.Repeat("a", 200)), identity.UnknownKey}, "id of a key too long": {kid(strings.Repeat("a", 201)), identity.BadKeyID},
		"as long as may be": {strings.Repeat("a", identity.MaxLength), identity.Malformed}, "a byte more": {strings.Repeat("a", identity.MaxLength+1), identity.TooLong},
	}
	for _, r := range "azAZ09-_.~=+:/" {
		cases["id of a key with "+string(r)] = struct {
			token string
			why   identity.Refusal
		}{kid(string(r)), identity.UnknownKey}
	}
	for _, r := range "`{@[;!é " {
		cases["id of a key with "+string(r)] = struct {
			token string
			why   identity.Refusal
		}{kid(string(r)), identity.BadKeyID}
	}
	for name, c := range cases {
		_, err := v.Verify(t.Context(), c.token)
		var why identity.Refusal
		if errors.As(err, &why); why != c.why || (err == nil) != (c.why == "") {
			t.Errorf("%s: %v, want %q", name, err, c.why)
		}
	}
}

// TestNamesThatAreTooLongAreLeftOut: they are only for people.
func TestNamesThatAreTooLongAreLeftOut(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	for length, want := range map[int]int{255: 255, 256: 0} {
		got, err := v.Verify(t.Context(), i.good(func(c jwt.MapClaims) { c["name"] = strings.Repeat("ä", length/2) + strings.Repeat("a", length%2) }))
		if err != nil || len(got.Name) != want {
			t.Errorf("a name of %d bytes: %d, %v", length, len(got.Name), err)
		}
	}
}

// TestKeysAgeToTheMoment looks at keys exactly when they are to be read again, when nobody gets by on them without a try, and when they
// count no more.
func TestKeysAgeToTheMoment(t *testing.T) {
	t.Parallel()
	read := func() (*issuer, *identity.Verifier) {
		i := newIssuer(t)
		v := i.verifier()
		if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
			t.Fatal(err)
		}
		return i, v
	}
	i, v := read()
	i.pass(15 * time.Minute)
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
		t.Error(err)
	}
	look, deadline := time.NewTicker(5*time.Millisecond), time.Now().Add(10*time.Second)
	defer look.Stop()
	for ; i.asked.Load() < 2; <-look.C { // beside the token that was due
		if time.Now().After(deadline) {
			t.Fatal("after 15 minutes the keys are not read again")
		}
	}
	i, v = read()
	i.mu.Lock()
	i.keys = []jose.JSONWebKey{{Key: i.ec.Public(), KeyID: "ec-1"}}
	i.mu.Unlock()
	i.pass(30 * time.Minute)
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("after 30 minutes a key that was taken away: %v", err)
	}
	i, v = read()
	i.broken.Store(true)
	i.pass(24*time.Hour - time.Second)
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
		t.Errorf("a second before a day: %v", err)
	}
	i.pass(time.Second)
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeTokensUnavailable) {
		t.Errorf("after a day: %v", err)
	}
}

// TestClocksMayDifferByAMinute and not by more.
func TestClocksMayDifferByAMinute(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	with := func(skew time.Duration) (v *identity.Verifier, refused bool) {
		defer func() { refused = recover() != nil }()
		v = identity.New(identity.Config{
			Issuer: i.server.URL, Audience: audience, Algorithms: []string{"RS256"}, Skew: skew, TenantClaim: "tenants", RoleClaim: "role",
			Keys: identity.FromIssuer(i.server.URL, i.server.Client(), i.clock, slog.New(slog.DiscardHandler)), Now: i.clock,
		})
		return v, false
	}
	for skew, bad := range map[time.Duration]bool{-1: true, 0: false, identity.MaxSkew: false, identity.MaxSkew + 1: true} {
		if _, refused := with(skew); refused != bad {
			t.Errorf("by %v: refused %v", skew, refused)
		}
	}
	v, _ := with(identity.MaxSkew)
	if _, err := v.Verify(t.Context(), i.good(func(c jwt.MapClaims) { c["exp"] = i.clock().Add(-59 * time.Second).Unix() })); err != nil {
		t.Errorf("within the minute: %v", err)
	}
}

// TestTokensForTooLongAreRefused bounds how far ahead a token may expire, with the skew and without a bound.
func TestTokensForTooLongAreRefused(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	for bound, lives := range map[time.Duration]map[time.Duration]bool{
		24 * time.Hour: {23 * time.Hour: true, 24*time.Hour + 29*time.Second: true, 24*time.Hour + 31*time.Second: false, 20 * 365 * 24 * time.Hour: false},
		0:              {20 * 365 * 24 * time.Hour: true},
	} {
		v := identity.New(identity.Config{
			Issuer: i.server.URL, Audience: audience, Algorithms: []string{"RS256"}, Skew: 30 * time.Second, MaxLife: bound, TenantClaim: "tenants", RoleClaim: "role",
			Keys: identity.FromIssuer(i.server.URL, i.server.Client(), i.clock, slog.New(slog.DiscardHandler)), Now: i.clock,
		})
		for life, good := range lives {
			got, err := v.Verify(t.Context(), i.good(func(c jwt.MapClaims) { c["exp"] = i.clock().Add(life).Unix() }))
			var why identity.Refusal
			if errors.As(err, &why); good != (err == nil) || !good && (why != identity.TooLongLived || !fault.Is(err, fault.CodeUnauthenticated) || got.Subject != "") {
				t.Errorf("good for %v, of %v: %+v %v", life, bound, got, err)
			}
		}
	}
}
