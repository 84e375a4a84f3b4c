package httpapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/tenant"
)

// said is a verifier for which a token is the role it gives, and whom it is about.
type said struct{}

func (said) Verify(_ context.Context, token string) (identity.Token, error) {
	t := identity.Token{Subject: token, Role: tenant.Role(token)}
	if t.Role != tenant.Platform {
		t.Tenants = []string{"a@example.com"}
	}
	return t, nil
}

type oneTenant struct{ TenantReader }

func (oneTenant) ActiveTenant(context.Context, uuid.UUID, string) (tenant.Tenant, error) {
	return tenant.Tenant{ID: 1, Account: "a@example.com", State: tenant.Active}, nil
}

// heard is an audit trail that counts whose denials it hears of.
type heard struct {
	AuditTrail
	of map[tenant.ID]int
}

func (h heard) RecordDenial(_ context.Context, t tenant.ID, _ string, _ tenant.Refusal, _ int) error {
	h.of[t]++
	return nil
}

// TestThePlatformIsNoAdminAndNoAdminIsThePlatform serves a route for each, since the service has none of the platform's yet.
func TestThePlatformIsNoAdminAndNoAdminIsThePlatform(t *testing.T) {
	t.Parallel()
	d := bare().Deps
	trail := heard{of: map[tenant.ID]int{}}
	d.Tokens, d.Tenants, d.Audit = said{}, oneTenant{}, trail
	s := newServer(d)
	var asked tenant.Principal
	handle := func(w http.ResponseWriter, r *http.Request) error {
		asked = exchangeOf(r.Context()).principal
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	r := &router{mux: s.mux, server: s}
	r.Get("/test/platform", platform(handle))
	r.Get("/test/admin", admin(handle))
	for _, c := range []struct {
		role   tenant.Role
		path   string
		status int
	}{
		{tenant.Platform, "/test/platform", 204}, {tenant.Admin, "/test/platform", 403}, {tenant.ReadOnly, "/test/platform", 403},
		{tenant.Platform, "/test/admin", 403}, {tenant.Admin, "/test/admin", 204}, {tenant.Analyst, "/test/admin", 403},
	} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.path, nil)
		req.Header.Set("Authorization", "Bearer "+string(c.role))
		w := httptest.NewRecorder()
		asked = tenant.Principal{}
		s.handler().ServeHTTP(w, req)
		if w.Code != c.status {
			t.Errorf("%s at %s: %d %s", c.role, c.path, w.Code, w.Body)
		}
		if c.status == 204 && (asked.Role != c.role || asked.Subject != string(c.role) || (asked.Tenant == 0) != (c.role == tenant.Platform)) {
			t.Errorf("%s at %s is %+v", c.role, c.path, asked)
		}
	}
	if trail.of[0] == 0 || trail.of[1] == 0 {
		t.Errorf("denials by tenant, 0 for the platform: %v", trail.of)
	}
}
