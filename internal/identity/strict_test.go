package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
)

// TestRefusalsSayWhyToTheLog also holds what only a strict reader refuses, all of it signed by the issuer.
func TestRefusalsSayWhyToTheLog(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	headed := func(header map[string]any) string {
		return i.sign(jwt.SigningMethodRS256, i.rsa, header, i.claims(nil))
	}
	huge, null := json.RawMessage("1e300"), json.RawMessage("null")
	for name, c := range map[string]struct {
		token string
		why   identity.Refusal
	}{
		"nbf huge": {i.with("nbf", huge), identity.BadTime}, "iat huge": {i.with("iat", huge), identity.BadTime}, "iat negative": {i.with("iat", -1), identity.BadTime},
		"exp null": {i.with("exp", null), identity.BadTime}, "exp true": {i.with("exp", true), identity.BadTime}, "nbf a text": {i.with("nbf", "now"), identity.BadTime},
		"exp beyond any number": {i.with("exp", json.RawMessage("1e999")), identity.BadTime}, "exp 61 s ago": {i.with("exp", i.clock().Add(-61*time.Second).Unix()), identity.Expired},
		"subject of two lines": {i.with("sub", "a\nb"), identity.BadSubject}, "tenants a number": {i.with("tenants", 1), identity.BadTenants},
		"a tenant with NUL":         {i.with("tenants", []string{"a\x00"}), identity.BadTenants},
		"a tenant that is a number": {i.with("tenants", []any{"a@b.example", 1}), identity.BadTenants}, "crit null": {headed(map[string]any{"crit": null}), identity.CriticalHeader},
		"kid a path in base64": {headed(map[string]any{"kid": "a/../b"}), identity.BadKeyID}, "no kid": {headed(map[string]any{"kid": nil}), identity.BadKeyID},
		"algorithm in lower case": {headed(map[string]any{"alg": "rs256"}), identity.BadAlgorithm}, "alg a list": {headed(map[string]any{"alg": []string{"RS256"}}), identity.Malformed},
		"another key under the id": {i.sign(jwt.SigningMethodES256, i.ec, nil, i.claims(nil)), identity.UnknownKey},
		"key unknown":              {headed(map[string]any{"kid": "YWJj/+8="}), identity.UnknownKey}, "too long": {strings.Repeat("a", 9000), identity.TooLong},
		"other audience": {i.with("aud", "x"), identity.BadAudience}, "other issuer": {i.with("iss", "https://x.example"), identity.BadIssuer}, "no audience": {i.with("aud", []string{}), identity.MissingClaim},
		"altered": {part(t, i.good(nil), 1, func(c string) string { return strings.Replace(c, "analyst", "admin\"  ", 1) }), identity.Malformed},
	} {
		got, err := v.Verify(t.Context(), c.token)
		var why identity.Refusal
		if !fault.Is(err, fault.CodeUnauthenticated) || !errors.As(err, &why) || why != c.why {
			t.Errorf("%s: %+v %v, want %s", name, got, err, c.why)
		}
	}
}

// TestAnOddKeyTurnsNoOtherOff: issuers add kinds of keys that this service does not know yet.
func TestAnOddKeyTurnsNoOtherOff(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	jwk := func(k jose.JSONWebKey) json.RawMessage {
		text, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	good := jwk(jose.JSONWebKey{Key: i.ec.Public(), KeyID: "good"})
	for name, odd := range map[string]json.RawMessage{
		"unknown kind": json.RawMessage(`{"kty":"XYZ","kid":"odd"}`), "no object": json.RawMessage(`7`), "without id": jwk(jose.JSONWebKey{Key: i.ec.Public()}),
		"point off the curve": json.RawMessage(`{"kty":"EC","crv":"P-256","kid":"odd","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"}`),
		"private":             jwk(jose.JSONWebKey{Key: i.ec, KeyID: "odd"}),
	} {
		text, err := json.Marshal(map[string]any{"keys": []json.RawMessage{odd, good}})
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := identity.ReadKeys(text); err != nil || len(keys) != 1 || keys[0].KeyID != "good" {
			t.Errorf("%s: %v %v", name, keys, err)
		}
	}
	twice, err := json.Marshal(map[string]any{"keys": []json.RawMessage{good, jwk(jose.JSONWebKey{Key: i.rsa.Public(), KeyID: "good"})}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"nothing usable": `{"keys":[7]}`, "no set": `{}`, "null": `{"keys":null}`, "no JSON": `x`, "two with one id": string(twice)} {
		if keys, err := identity.ReadKeys([]byte(text)); err == nil {
			t.Errorf("%s: %v", name, keys)
		}
	}
	if keys, err := identity.ReadKeys([]byte(`{"keys":[]}`)); err != nil || len(keys) != 0 {
		t.Errorf("an empty set: %v %v", keys, err)
	}
}

// TestAKeyTakenAwayDoesNotCountOnceMore: the first token after days without any must not be believed by what was read before.
func TestAKeyTakenAwayDoesNotCountOnceMore(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := i.verifier()
	if _, err := v.Verify(t.Context(), i.good(nil)); err != nil {
		t.Fatal(err)
	}
	i.mu.Lock()
	i.keys = []jose.JSONWebKey{{Key: i.ec.Public(), KeyID: "ec-1"}}
	i.mu.Unlock()
	i.pass(72 * time.Hour)
	if _, err := v.Verify(t.Context(), i.good(nil)); !fault.Is(err, fault.CodeUnauthenticated) {
		t.Errorf("a key that was taken away: %v", err)
	}
}
