package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// ManagedTenant is a tenant as whoever runs the service sees it. ETag is for IfMatch and IfNoneMatch.
type ManagedTenant struct {
	ID         string       `json:"id"`
	Name       string       `json:"name"`
	PGPAccount string       `json:"pgp_account,omitempty"`
	State      TenantState  `json:"state"`
	Limits     TenantLimits `json:"limits"`
	ETag       string       `json:"etag"`
	CreatedAt  time.Time    `json:"created_at"`
	UpdatedAt  time.Time    `json:"updated_at"`
}

// TenantLimits bound what a tenant may have; what is nil has no limit. MaxIntegrations counts those connected at a time.
type TenantLimits struct {
	MaxIntegrations *int64 `json:"max_integrations,omitempty" validate:"omitempty,min=1,max=1000000"`
}

// CreateTenantRequest is a tenant to create. PGPAccount is printable ASCII without spaces; nil for none.
type CreateTenantRequest struct {
	Name       string  `json:"name" validate:"required,max=100,name"`
	PGPAccount *string `json:"pgp_account,omitempty" validate:"omitempty,min=1,max=254"`
}

// TenantPatch is what to change of a tenant; nil leaves it. State is TenantActive or TenantSuspended, an empty PGPAccount none, and
// Limits take the place of all there were.
type TenantPatch struct {
	Name       *string       `json:"name,omitempty" validate:"omitempty,min=1,max=100,name"`
	PGPAccount *string       `json:"pgp_account,omitempty" validate:"omitempty,max=254"`
	State      *TenantState  `json:"state,omitempty" validate:"omitempty,oneof=active suspended"`
	Limits     *TenantLimits `json:"limits,omitempty"`
}

// EntitlementsInput is what a tenant is entitled to. ValidFrom and ValidUntil are days (YYYY-MM-DD, UTC), both included. What is nil is not
// included, or has no bound.
type EntitlementsInput struct {
	InternalAssessments *bool   `json:"internal_assessments,omitempty"`
	MaxAssets           *int64  `json:"max_assets,omitempty" validate:"omitempty,min=1,max=2147483647"`
	ValidFrom           *string `json:"valid_from,omitempty"`
	ValidUntil          *string `json:"valid_until,omitempty"`
}

// ListTenantsOptions filter tenants. The zero value filters nothing; Name is a part of the name, in any case.
type ListTenantsOptions struct {
	State []TenantState
	Name  string
	PageOptions
}

// ListTenants reads one page of the tenants, oldest first. Role: platform.
func (c *Client) ListTenants(ctx context.Context, o ListTenantsOptions) (*Page[ManagedTenant], error) {
	q := newQuery()
	addAll(q, "state", o.State)
	q.text("name", o.Name)
	q.page(o.PageOptions)
	return send[Page[ManagedTenant]](ctx, c, call{method: http.MethodGet, path: "/v1/tenants", query: q})
}

// AllTenants yields the tenants of all pages from o.Cursor on; an error ends it.
func (c *Client) AllTenants(ctx context.Context, o ListTenantsOptions) iter.Seq2[ManagedTenant, error] {
	return walk(o.Cursor, func(cursor string) (*Page[ManagedTenant], error) {
		o.Cursor = cursor
		return c.ListTenants(ctx, o)
	})
}

// CreateTenant creates a tenant that is entitled to nothing yet. Role: platform.
func (c *Client) CreateTenant(ctx context.Context, r CreateTenantRequest, options ...RequestOption) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{method: http.MethodPost, path: "/v1/tenants", body: r, options: options})
}

// GetManagedTenant reads any tenant; with IfNoneMatch it may return ErrNotModified. Role: platform.
func (c *Client) GetManagedTenant(ctx context.Context, id string, options ...RequestOption) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{method: http.MethodGet, path: path("/v1/tenants/%s", id), options: options})
}

// UpdateTenant changes name, account, limits or state, which suspends a tenant or lets it back in; with IfMatch only if nobody else did
// since. Role: platform.
func (c *Client) UpdateTenant(ctx context.Context, id string, p TenantPatch, options ...RequestOption) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{
		method: http.MethodPatch, path: path("/v1/tenants/%s", id), body: p, contentType: "application/merge-patch+json", options: options,
	})
}

// DeleteTenant destroys what the tenant's secrets are sealed with and begins to delete all it has; it cannot be undone. The tenant is
// TenantDeleting until nothing is left, and then not found. Without the option IfMatch it is CodePreconditionRequired. Role: platform.
func (c *Client) DeleteTenant(ctx context.Context, id string, options ...RequestOption) (*ManagedTenant, error) {
	return send[ManagedTenant](ctx, c, call{method: http.MethodDelete, path: path("/v1/tenants/%s", id), options: options})
}

// ListPlatformAuditEvents reads one page of the platform's own audit trail, newest first: what was done to tenants as a whole. Role: platform.
func (c *Client) ListPlatformAuditEvents(ctx context.Context, o ListAuditEventsOptions) (*Page[AuditEvent], error) {
	return send[Page[AuditEvent]](ctx, c, call{method: http.MethodGet, path: platformAuditPath, query: o.query()})
}

const platformAuditPath = "/v1/platform/audit-events"

// AllPlatformAuditEvents yields the events of all pages from o.Cursor on; an error ends it.
func (c *Client) AllPlatformAuditEvents(ctx context.Context, o ListAuditEventsOptions) iter.Seq2[AuditEvent, error] {
	return walk(o.Cursor, func(cursor string) (*Page[AuditEvent], error) {
		o.Cursor = cursor
		return c.ListPlatformAuditEvents(ctx, o)
	})
}

// StreamPlatformAuditEvents yields the whole list from one answer; an error ends it, and means that the list is not complete. o.PageOptions
// must be empty. Role: platform.
func (c *Client) StreamPlatformAuditEvents(ctx context.Context, o ListAuditEventsOptions) iter.Seq2[AuditEvent, error] {
	return stream[AuditEvent](ctx, c, platformAuditPath, o.query())
}

// GetTenantEntitlements reads what any tenant is entitled to; with IfNoneMatch it may return ErrNotModified. Role: platform.
func (c *Client) GetTenantEntitlements(ctx context.Context, id string, options ...RequestOption) (*Entitlements, error) {
	return send[Entitlements](ctx, c, call{method: http.MethodGet, path: path("/v1/tenants/%s/entitlements", id), options: options})
}

// SetEntitlements sets all that a tenant is entitled to; with IfMatch only if nobody else did since. Role: platform.
func (c *Client) SetEntitlements(ctx context.Context, id string, e EntitlementsInput, options ...RequestOption) (*Entitlements, error) {
	return send[Entitlements](ctx, c, call{method: http.MethodPut, path: path("/v1/tenants/%s/entitlements", id), body: e, options: options})
}
