package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ManagedTenant is a tenant as whoever runs the service sees it.
type ManagedTenant struct {
	ID         string      `json:"id"`
	Name       string      `json:"name"`
	PGPAccount string      `json:"pgp_account,omitempty"`
	State      TenantState `json:"state"`
	CreatedAt  time.Time   `json:"created_at"`
	UpdatedAt  time.Time   `json:"updated_at"`
}

// CreateTenantRequest is a tenant to create. PGPAccount is printable ASCII without spaces; nil for none.
type CreateTenantRequest struct {
	Name       string  `json:"name" validate:"required,max=100,nocontrol"`
	PGPAccount *string `json:"pgp_account,omitempty" validate:"omitempty,min=1,max=254"`
}

// TenantPatch is what to change of a tenant: TenantActive or TenantSuspended.
type TenantPatch struct {
	State TenantState `json:"state" validate:"required,oneof=active suspended"`
}

// EntitlementsInput is what a tenant is entitled to. ValidFrom and ValidUntil are days (YYYY-MM-DD, UTC), both included. What is nil is not
// included, or has no bound.
type EntitlementsInput struct {
	InternalAssessments *bool   `json:"internal_assessments,omitempty"`
	MaxAssets           *int64  `json:"max_assets,omitempty" validate:"omitempty,min=1,max=2147483647"`
	ValidFrom           *string `json:"valid_from,omitempty"`
	ValidUntil          *string `json:"valid_until,omitempty"`
}

// ListTenants reads one page of all tenants, oldest first. Role: platform.
func (c *Client) ListTenants(ctx context.Context, o PageOptions) (*Page[ManagedTenant], error) {
	q := newQuery()
	q.page(o)
	return send[Page[ManagedTenant]](ctx, c, call{method: http.MethodGet, path: "/v1/tenants", query: q})
}

// AllTenants yields the tenants of all pages from o.Cursor on; an error ends it.
func (c *Client) AllTenants(ctx context.Context, o PageOptions) iter.Seq2[ManagedTenant, error] {
	return walk(o.Cursor, func(cursor string) (*Page[ManagedTenant], error) {
		o.Cursor = cursor
		return c.ListTenants(ctx, o)
	})
}

// CreateTenant creates a tenant that is entitled to nothing yet. Role: platform.
func (c *Client) CreateTenant(ctx context.Context, r CreateTenantRequest, options ...RequestOption) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{method: http.MethodPost, path: "/v1/tenants", body: r, options: options})
}

// GetManagedTenant reads any tenant. Role: platform.
func (c *Client) GetManagedTenant(ctx context.Context, id string) (*ManagedTenant, error) {
	return get[ManagedTenant](ctx, c, path("/v1/tenants/%s", id))
}

// UpdateTenant suspends a tenant or lets it back in. Role: platform.
func (c *Client) UpdateTenant(ctx context.Context, id string, p TenantPatch) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{method: http.MethodPatch, path: path("/v1/tenants/%s", id), body: p})
}

// SetEntitlements sets all that a tenant is entitled to. Role: platform.
func (c *Client) SetEntitlements(ctx context.Context, id string, e EntitlementsInput) (*Entitlements, error) {
	return send[Entitlements](ctx, c, call{method: http.MethodPut, path: path("/v1/tenants/%s/entitlements", id), body: e})
}
