package defendersim

import (
	"cmp"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// exchangeAudience is what Entra ID recommends as audience of foreign tokens: the page "Workload identity federation".
const exchangeAudience = "api://AzureADTokenExchange"

// FederatedCredential is trust in the tokens of a foreign issuer: those for one subject and audience, compared exactly.
type FederatedCredential struct {
	Issuer    string              `json:"issuer"`
	Subject   string              `json:"subject"`
	Audience  string              `json:"audience,omitempty"`   // "" means api://AzureADTokenExchange
	Keys      *jose.JSONWebKeySet `json:"jwks,omitempty"`       // the issuer's
	PublicKey string              `json:"public_key,omitempty"` // PEM, in place of jwks
}

func (f FederatedCredential) complete() (FederatedCredential, error) {
	f.Audience = cmp.Or(f.Audience, exchangeAudience)
	if f.Issuer == "" || f.Subject == "" {
		return f, errors.New("issuer or subject is missing")
	}
	if f.PublicKey != "" {
		block, _ := pem.Decode([]byte(f.PublicKey))
		if block == nil {
			return f, errors.New("public_key is not PEM")
		}
		key, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return f, err
		}
		f.Keys, f.PublicKey = &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key}}}, ""
	}
	if f.Keys == nil || len(f.Keys.Keys) == 0 {
		return f, errors.New("neither jwks nor public_key holds a key")
	}
	for _, key := range f.Keys.Keys {
		if !key.Valid() || !key.IsPublic() {
			return f, errors.New("jwks holds what is no public key")
		}
	}
	return f, nil
}

// checkFederated checks a foreign token: issuer, subject, audience, signature, time. Foreign tokens must be signed with RS256.
func checkFederated(a App, said assertion, now time.Time) *entraError {
	trusted := slices.DeleteFunc(slices.Clone(a.Federated), func(f FederatedCredential) bool { return f.Issuer != said.claims.Issuer })
	if len(trusted) == 0 {
		return refuse(700211, "{issuer}", said.claims.Issuer)
	}
	trusted = slices.DeleteFunc(trusted, func(f FederatedCredential) bool { return f.Subject != said.claims.Subject })
	if len(trusted) == 0 {
		return refuse(700213, "{subject}", said.claims.Subject)
	}
	trusted = slices.DeleteFunc(trusted, func(f FederatedCredential) bool { return !slices.Contains(said.claims.Audience, f.Audience) })
	if len(trusted) == 0 {
		audience := ""
		if len(said.claims.Audience) > 0 {
			audience = said.claims.Audience[0]
		}
		return refuse(700212, "{audience}", audience)
	}
	if said.token.Headers[0].Algorithm != string(jose.RS256) || !slices.ContainsFunc(trusted, said.verifiedBy) {
		return refuse(50013, "{reason}", "The key was not found")
	}
	return said.checkTime(now)
}

// verifiedBy tries the key that the header names, or all when it names none.
func (s assertion) verifiedBy(f FederatedCredential) bool {
	keys := f.Keys.Keys
	if id := s.token.Headers[0].KeyID; id != "" && len(f.Keys.Key(id)) > 0 {
		keys = f.Keys.Key(id)
	}
	return slices.ContainsFunc(keys, func(k jose.JSONWebKey) bool { return s.verified(k.Key) })
}
