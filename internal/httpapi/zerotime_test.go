package httpapi_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestTheFirstMomentIsATimeLikeAnyOther gives the time that Go has for none at all, wherever one may be given: as an expiry it lies in the
// past, and nothing came before it.
func TestTheFirstMomentIsATimeLikeAnyOther(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	i := h.connect(h.mine)
	c, ctx := h.admin(), t.Context()
	platform := api.New(h.url, m.token(tenant.Platform), api.WithHTTPClient(h.checked()))
	for name, first := range map[string]time.Time{"in UTC": {}, "elsewhere": time.Time{}.In(time.FixedZone("", -3600))} {
		draft := form(uuid.New())
		draft.Credentials.SecretExpiresAt = &first
		rotation := api.RotateSecretRequest{ClientSecret: canary, SecretExpiresAt: &first}
		staging := api.RotateSecretRequest{ClientSecret: canary, SecretExpiresAt: &first, Stage: new(true)}
		for what, err := range map[string]error{
			"connect": second(c.ConnectIntegration(ctx, draft)), "preview": second(c.PreviewIntegration(ctx, draft)),
			"correct": second(c.UpdateIntegration(ctx, i.ID, api.IntegrationPatch{Credentials: &api.CredentialsPatch{SecretExpiresAt: &first}})),
			"rotate":  second(c.RotateIntegrationSecret(ctx, i.ID, rotation)), "stage": second(c.RotateIntegrationSecret(ctx, i.ID, staging)),
			"key":     second(c.CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly, ExpiresAt: &first})),
			"entitle": second(platform.SetEntitlements(ctx, h.publicID(h.mine), api.EntitlementsInput{ValidUntil: new("0001-01-01")})),
		} {
			if !api.HasCode(err, api.CodeInvalidExpiry) {
				t.Errorf("%s, %s: %v", what, name, err)
			}
		}
	}
	for query, found := range map[string]bool{"created_lt=0001-01-01T00:00:00Z": false, "created_gte=0001-01-01T00:00:00Z": true} {
		got := h.send(raw{method: http.MethodGet, path: "/v1/runs?" + query, key: h.mine.keys[tenant.ReadOnly], client: h.checked()})
		if (got.body != `{"items":[]}`+"\n") != found {
			t.Errorf("%s: %s", query, got.body)
		}
	}
}
