package httpapi

import (
	"net/http"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/tenant"
)

func (s *server) getTenant(w http.ResponseWriter, r *http.Request) error {
	t, err := s.Tenants.Tenant(r.Context(), caller(r))
	if err != nil {
		return err
	}
	return answer(w, http.StatusOK, api.Tenant{
		ID: tenantPrefix + hexOf(t.PublicID), Name: t.Name, State: api.TenantState(t.State), CreatedAt: t.CreatedAt, UpdatedAt: t.UpdatedAt,
	})
}

func (s *server) getEntitlements(w http.ResponseWriter, r *http.Request) error {
	return s.answerEntitlements(w, r, caller(r), exchangeOf(r.Context()).principal.TenantPublic)
}

// answerEntitlements shows what a tenant is entitled to, or answers 304 to those who have it already.
func (s *server) answerEntitlements(w http.ResponseWriter, r *http.Request, t tenant.ID, public uuid.UUID) error {
	e, err := s.Tenants.Entitlement(r.Context(), t)
	if err != nil {
		return err
	}
	sum, err := s.Findings.Summary(r.Context(), t)
	if err != nil {
		return err
	}
	out := api.Entitlements{
		InternalAssessments: e.InternalAssessments, ValidFrom: day(e.ValidFrom), ValidUntil: day(e.ValidUntil), Source: e.Source,
		EffectiveNow: e.Effective(s.Now()), Reason: notEffective(e, s.Now()), AssetsUsed: assetsUsed(&sum),
	}
	if e.MaxAssets > 0 {
		limit := int64(e.MaxAssets)
		out.MaxAssets = &limit
	}
	if out.ETag, err = strongTag(entitlementsOf(public), e.Version, out); err != nil {
		return err
	}
	body, err := encode(out)
	if err != nil {
		return err
	}
	if r.Method == http.MethodPut { // whose answer is news to everybody
		w.Header().Set("ETag", out.ETag)
		send(w, http.StatusOK, body)
		return nil
	}
	sendUnlessKnown(w, r, out.ETag, body)
	return nil
}

// entitlementsOf tells tags of a tenant's entitlements from those of the tenant.
func entitlementsOf(t uuid.UUID) uuid.UUID { return uuid.NewSHA1(t, []byte("entitlements")) }

// notEffective says why nothing is imported now; nothing if it is.
func notEffective(e tenant.Entitlement, now time.Time) string {
	switch {
	case e.Effective(now):
		return ""
	case !e.InternalAssessments:
		return fault.CodeEntitlementMissing
	case !e.ValidFrom.IsZero() && now.Before(e.ValidFrom):
		return "entitlement_not_yet_valid"
	}
	return "entitlement_expired"
}

func (s *server) listAPIKeys(w http.ResponseWriter, r *http.Request) error {
	p := readQuery(r)
	request, err := s.paging(r, p, inventory.Sort{})
	if err != nil {
		return err
	}
	keys, end, err := s.Keys.ListAPIKeys(r.Context(), caller(r), request)
	if err != nil {
		return err
	}
	return answerPage(s, w, r, keys, end, apiKey)
}

func apiKey(k *tenant.APIKey) api.APIKey {
	return api.APIKey{
		ID: keyPrefix + hexOf(k.PublicID), Name: k.Name, Role: api.Role(k.Role), CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		LastUsedAt: k.LastUsedAt,
	}
}

func (s *server) createAPIKey(w http.ResponseWriter, r *http.Request) error {
	var body api.CreateAPIKeyRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	latest := s.Now().Add(tenant.MaxKeyLife)
	expiry := latest
	if body.ExpiresAt != nil {
		expiry = *body.ExpiresAt
	}
	if err := s.checkExpiry("/expires_at", &expiry); err != nil {
		return err
	}
	if expiry.After(latest) {
		f := fault.New(fault.CodeInvalidExpiry, "The time lies more than one year ahead.")
		f.Fields = []fault.Field{{Pointer: "/expires_at", Code: "too_large", Detail: "Must be at most one year (365 days) ahead"}}
		return f
	}
	secret := tenant.NewKey()
	if err := keepsake(r, secret); err != nil {
		return err
	}
	k, err := s.Keys.CreateAPIKey(r.Context(), caller(r), tenant.APIKey{
		Name: body.Name, Role: tenant.Role(body.Role), ExpiresAt: expiry.UTC(),
	}, secret)
	if err != nil {
		return err
	}
	return answerCreatedKey(w, &k, secret)
}

// keyCreatedBefore shows the secret once more to whoever asked for the key. If it was kept under a keyring that is not in use
// any more nobody can show it, and the key has to be replaced.
func (s *server) keyCreatedBefore(w http.ResponseWriter, r *http.Request, made string, keepsake func() (string, error)) error {
	id, err := madeID(keyPrefix, made)
	if err != nil {
		return err
	}
	k, err := s.Keys.APIKey(r.Context(), caller(r), id)
	if err != nil {
		return err
	}
	secret, err := keepsake()
	if err != nil {
		f := fault.Wrap(err, fault.CodeConflict, "the key "+made+" was created, and its secret cannot be shown any more")
		f.Remedy = "Delete that key and create another one."
		return f
	}
	return answerCreatedKey(w, &k, seal.NewSecret(secret))
}

func answerCreatedKey(w http.ResponseWriter, k *tenant.APIKey, secret seal.Secret) error {
	shown := apiKey(k)
	w.Header().Set("Location", "/v1/api-keys/"+shown.ID)
	return answer(w, http.StatusCreated, api.CreatedAPIKey{
		ID: shown.ID, Name: shown.Name, Role: shown.Role, CreatedAt: shown.CreatedAt, ExpiresAt: shown.ExpiresAt, Secret: api.Secret(secret.Reveal()),
	})
}

func (s *server) deleteAPIKey(w http.ResponseWriter, r *http.Request) error {
	id, err := pathID(r, keyPrefix, "API key")
	if err != nil {
		return err
	}
	if err := s.Keys.RevokeAPIKey(r.Context(), caller(r), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
