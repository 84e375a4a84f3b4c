package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

// authorise finds out who asks, for which tenant, and whether the role reaches.
func (s *server) authorise(w http.ResponseWriter, r *http.Request, need tenant.Role) error {
	p, err := s.principal(r)
	if err = s.learn(w, r, &p, err); err != nil {
		var why identity.Refusal
		if errors.As(err, &why) {
			exchangeOf(r.Context()).refused = string(why)
		}
		return err
	}
	exchangeOf(r.Context()).principal = p
	if !p.Role.Includes(need) {
		return s.deny(r, p, tenant.RefusedRole, fault.Newf(fault.CodeForbidden, "This needs the role %s; the credential has %s.", need, p.Role))
	}
	return nil
}

// principal reads the credential: an API key, which is looked up on every request, so that a revoked one is refused at
// once, or a token, which costs the database nothing unless it is good.
func (s *server) principal(r *http.Request) (tenant.Principal, error) {
	credential, err := bearer(r)
	if err != nil {
		return tenant.Principal{}, err
	}
	account, err := accountHeader(r)
	if err != nil {
		return tenant.Principal{}, err
	}
	if !tenant.LooksLikeKey(credential) {
		return s.tokenPrincipal(r, credential, account)
	}
	p, err := s.Keys.PrincipalByKey(r.Context(), credential)
	if p.Refused != "" {
		return p, s.deny(r, p, p.Refused, err)
	}
	if err != nil || account == "" || tenant.SameName(account, tenant.PublicText(tenantPrefix, p.TenantPublic)) {
		return p, err // which is known without asking for the tenant
	}
	t, err := s.Tenants.Tenant(r.Context(), p.Tenant)
	if err != nil {
		return p, err
	}
	if !t.Answers(account) {
		return p, s.deny(r, p, tenant.OtherTenant, errNotYourTenant())
	}
	return p, nil
}

// tokenPrincipal asks for the tenant only among those that the token names.
func (s *server) tokenPrincipal(r *http.Request, credential seal.Secret, account string) (tenant.Principal, error) {
	token, err := s.Tokens.Verify(r.Context(), credential.Reveal())
	p := tenant.Principal{Subject: token.Subject, Name: token.Name, Role: token.Role}
	if err != nil {
		return p, s.denyExpired(r, p, token, account, err)
	}
	if token.Role == tenant.Platform {
		if account != "" {
			return p, errNotYourTenant()
		}
		return p, nil
	}
	chosen, err := chooseTenant(token, account)
	if err != nil {
		return p, err
	}
	t, err := s.tenantNamed(r, chosen)
	p.Tenant, p.TenantPublic = t.ID, t.PublicID
	switch {
	case !fault.Is(err, fault.CodeNotFound):
		return p, err
	case t.ID != 0:
		return p, s.deny(r, p, tenant.TenantInactive, errNotYourTenant())
	}
	return p, errNotYourTenant()
}

// notedWithin is how long the answer to an expired token may wait for the event it leaves.
const notedWithin = 500 * time.Millisecond

// denyExpired is [server.deny] for a token that was good before. Its tenant is looked for only when that will be noted; without one
// there is no trail for it, and so it is for what was never a token. It is refused whether the database can note it or not: the next
// one that is noted counts it.
func (s *server) denyExpired(r *http.Request, p tenant.Principal, token identity.Token, account string, refused error) error {
	if token.Subject == "" {
		return refused
	}
	if !s.denials.due(actor(&p), s.Now()) {
		s.denials.count(actor(&p), s.Now())
		return refused
	}
	ctx, cancel := context.WithTimeout(r.Context(), notedWithin)
	defer cancel()
	if err := s.noteExpired(r.WithContext(ctx), p, token, account, refused); err != nil && err != refused { //nolint:errorlint // that very one
		exchangeOf(r.Context()).hidden = err
	}
	return refused
}

func (s *server) noteExpired(r *http.Request, p tenant.Principal, token identity.Token, account string, refused error) error {
	if token.Role == tenant.Platform {
		return s.deny(r, p, tenant.TokenExpired, refused)
	}
	chosen, err := chooseTenant(token, account)
	if err != nil {
		return refused
	}
	t, err := s.tenantNamed(r, chosen)
	if err != nil && !fault.Is(err, fault.CodeNotFound) {
		s.denials.again(actor(&p), s.denials.count(actor(&p), s.Now()))
		return err
	}
	if p.Tenant, p.TenantPublic = t.ID, t.PublicID; t.ID == 0 {
		s.denials.count(actor(&p), s.Now()) // not looked for again at once
		return refused
	}
	return s.deny(r, p, tenant.TokenExpired, refused)
}

// chooseTenant takes the account that the caller names, which the token has to name as well, or the token's only one.
func chooseTenant(token identity.Token, account string) (string, error) {
	switch {
	case account == "" && len(token.Tenants) == 1:
		return token.Tenants[0], nil
	case account == "" && len(token.Tenants) > 1:
		return "", fault.New(fault.CodeAccountRequired, "")
	}
	if !slices.ContainsFunc(token.Tenants, func(t string) bool { return tenant.SameName(t, account) }) {
		return "", errNotYourTenant()
	}
	return account, nil
}

// tenantNamed finds an active tenant by its id or its PGP account.
func (s *server) tenantNamed(r *http.Request, name string) (tenant.Tenant, error) {
	if id, ok := parseID(tenantPrefix, strings.ToLower(name)); ok {
		return s.Tenants.ActiveTenant(r.Context(), id, "")
	}
	if !plainText(name) { // nor is there one that the database takes for the same
		return tenant.Tenant{}, fault.New(fault.CodeNotFound, "")
	}
	return s.Tenants.ActiveTenant(r.Context(), uuid.Nil, name)
}

// errNotYourTenant is the same for tenants that do not exist, are suspended, or are not the credential's.
func errNotYourTenant() error {
	return fault.New(fault.CodeForbidden, "The credential is for no such tenant.")
}

// accountHeader reads by which name the caller chooses the tenant; empty if not at all. What cannot be a name is that of no tenant.
func accountHeader(r *http.Request) (string, error) {
	values := r.Header.Values("Account")
	if len(values) == 0 {
		return "", nil
	}
	account := strings.TrimSpace(values[0])
	if len(values) > 1 || account == "" || len(account) > maxAccount || !plainText(account) {
		return "", errNotYourTenant()
	}
	return account, nil
}

// maxAccount is the longest e-mail address; see RFC 5321.
const maxAccount = 254

func plainText(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}

func bearer(r *http.Request) (seal.Secret, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 {
		return seal.Secret{}, fault.New(fault.CodeUnauthenticated, "")
	}
	scheme, text, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") || text == "" {
		return seal.Secret{}, fault.New(fault.CodeUnauthenticated, "")
	}
	return seal.NewSecret(text), nil
}

// caller is the tenant that the request's credential was found to act for.
func caller(r *http.Request) tenant.ID { return exchangeOf(r.Context()).principal.Tenant }

// subjectText tells subjects apart in logs. They may be e-mail addresses, which logs are no place for; without the key, whoever
// reads a log could try addresses until one fits.
func (s *server) subjectText(subject string) string {
	mac := hmac.New(sha256.New, s.CursorKey)
	mac.Write([]byte("subject of a token\x00" + subject)) // documented never to fail; no cursor begins like that
	return hex.EncodeToString(mac.Sum(nil)[:8])
}
