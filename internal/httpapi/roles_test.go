package httpapi_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgp.internal/defender/api"
	"pgp.internal/defender/internal/tenant"
)

// TestRoleMatrix asks every operation with every role. Objects that do not exist tell apart who was let in (404, or what
// the operation says itself) from who was not (403).
func TestRoleMatrix(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, op := range operations(t) {
		for _, role := range []tenant.Role{tenant.ReadOnly, tenant.Analyst, tenant.Admin} {
			got := h.send(op.request(nobodys, h.mine.keys[role]))
			allowed := op.role == "" || role.Includes(op.role)
			if refused := got.status == http.StatusForbidden; refused == allowed {
				t.Errorf("%s as %s: %d, allowed %v", op.id, role, got.status, allowed)
			}
		}
	}
}

func TestKeysThatDoNotCount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	good := h.mine.keys[tenant.ReadOnly]
	unknown := tenant.NewKey().Reveal()
	for name, header := range map[string]string{
		"none": "", "no scheme": good, "another scheme": "Basic " + good, "unknown": "Bearer " + unknown, "noise": "Bearer x", "two": "Bearer " + good + " " + good,
		"cut": "Bearer " + good[:len(good)-1], "blank": "Bearer ", "upper case": "Bearer " + strings.ToUpper(good),
	} {
		got := h.send(raw{method: http.MethodGet, path: "/v1/tenant", header: map[string]string{"Authorization": header}})
		if got.status != http.StatusUnauthorized || !strings.HasPrefix(got.header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("%s: %d %v", name, got.status, got.header)
		}
	}
	if got := h.send(raw{method: http.MethodGet, path: "/v1/tenant", header: map[string]string{"Authorization": "bearer " + good}}); got.status != http.StatusOK {
		t.Errorf("scheme in lower case: %d", got.status)
	}
}

// TestARevokedKeyIsRefusedAtOnce also covers keys that expired and tenants that are suspended.
func TestARevokedKeyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := context.Background()
	created, err := h.admin().CreateAPIKey(ctx, api.CreateAPIKeyRequest{Name: "short-lived", Role: api.RoleAdmin, ExpiresAt: new(time.Now().Add(time.Hour))})
	must(t, err)
	c := api.New(h.url, created.Secret.Reveal(), api.WithHTTPClient(h.checked()))
	must(t, second(c.GetTenant(ctx)))
	must(t, c.DeleteAPIKey(ctx, created.ID)) // with the very key
	refused := func(what string, c *api.Client) {
		t.Helper()
		if err := second(c.GetTenant(ctx)); !api.HasCode(err, api.CodeUnauthenticated) {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("revoked", c)
	h.exec("update api_key set expires_at = now() - interval '1 second' where role = 'analyst' and tenant_id = " + number(h.mine.id))
	refused("expired", h.client(h.mine, tenant.Analyst))
	must(t, h.store.SetTenantState(ctx, h.mine.id, tenant.Suspended))
	refused("of a suspended tenant", h.admin())
}

// TestAKeyLives365Days unless somebody says otherwise, and no longer.
func TestAKeyLives365Days(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	h := newHouse(t)
	c, before := h.admin(), h.clock.now()
	made, err := c.CreateAPIKey(t.Context(), api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly})
	must(t, err)
	if life := made.ExpiresAt.Sub(before); life < year || life > year+time.Minute {
		t.Errorf("it lives %v", life)
	}
	for ahead, ok := range map[time.Duration]bool{year - time.Hour: true, year + time.Hour: false} {
		err := second(c.CreateAPIKey(t.Context(), api.CreateAPIKeyRequest{Name: "SIEM", Role: api.RoleReadonly, ExpiresAt: new(h.clock.now().Add(ahead))}))
		if ok != (err == nil) || !ok && !api.HasCode(err, api.CodeInvalidExpiry) {
			t.Errorf("for %v: %v", ahead, err)
		}
	}
}
