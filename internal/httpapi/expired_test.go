package httpapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/httpapi"
	"pgp.internal/defender/internal/tenant"
)

// hangingTenants is a database that does not answer.
type hangingTenants struct{ httpapi.TenantReader }

func (hangingTenants) ActiveTenant(ctx context.Context, _ uuid.UUID, _ string) (tenant.Tenant, error) {
	<-ctx.Done()
	return tenant.Tenant{}, fmt.Errorf("%w: pq: canceling statement", ctx.Err())
}

// TestAnExpiredTokenIsRefusedWithoutTheDatabase has it frozen: the token is refused for what it is, and what could not be noted then is
// noted with the next one.
func TestAnExpiredTokenIsRefusedWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	m := newMint(t)
	h := newHouse(t, m.into)
	mine, _ := h.named()
	expired := m.expired(tenant.Admin, mine)
	frozen := h.deps
	frozen.Tenants = hangingTenants{h.deps.Tenants}
	base := h.serve(frozen)
	began := time.Now()
	for range 2 {
		if got := h.send(raw{method: http.MethodGet, path: "/v1/tenant", key: expired, base: base, client: h.checked()}); got.status != http.StatusUnauthorized {
			t.Errorf("%d %s", got.status, got.body)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("two took %v", took)
	}
	if got := h.asks(expired, ""); got.status != http.StatusUnauthorized {
		t.Errorf("with the database back: %d %s", got.status, got.body)
	}
	if got := h.refusals(); !slices.Equal(got, []string{"ada@contoso.example token_expired 1"}) {
		t.Errorf("noted: %v", got)
	}
}
