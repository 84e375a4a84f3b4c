package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// Tenant is a PGP customer account.
type Tenant struct {
	ID        string      `json:"id"`
	Name      string      `json:"name"`
	State     TenantState `json:"state"`
	CreatedAt time.Time   `json:"created_at"`
	UpdatedAt time.Time   `json:"updated_at"`
}

// Entitlements is what a tenant has paid for. ValidFrom and ValidUntil are days (YYYY-MM-DD, UTC), both included; empty means no bound.
// ETag is for IfNoneMatch, and for IfMatch with SetEntitlements.
type Entitlements struct {
	InternalAssessments bool   `json:"internal_assessments"`
	MaxAssets           *int64 `json:"max_assets,omitempty"`
	ValidFrom           string `json:"valid_from,omitempty"`
	ValidUntil          string `json:"valid_until,omitempty"`
	Source              string `json:"source,omitempty"`
	EffectiveNow        bool   `json:"effective_now"`
	Reason              string `json:"reason,omitempty"`
	AssetsUsed          int64  `json:"assets_used"`
	ETag                string `json:"etag"`
}

// APIKey is an API key without its secret.
type APIKey struct {
	ID         string    `json:"id"`
	Name       string    `json:"name"`
	Role       Role      `json:"role"`
	CreatedAt  time.Time `json:"created_at"`
	ExpiresAt  time.Time `json:"expires_at"`
	LastUsedAt time.Time `json:"last_used_at,omitzero"`
}

// CreateAPIKeyRequest is a key to create. ExpiresAt is at most 365 days ahead; nil means 365 days.
type CreateAPIKeyRequest struct {
	Name      string     `json:"name" validate:"required,max=100,name"`
	Role      Role       `json:"role" validate:"required,oneof=readonly analyst admin"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
}

// CreatedAPIKey is a new API key with its secret, which is shown only now.
type CreatedAPIKey struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Role      Role      `json:"role"`
	CreatedAt time.Time `json:"created_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Secret    Secret    `json:"secret"`
}

// GetTenant reads the tenant that the API key belongs to. Role: readonly.
func (c *Client) GetTenant(ctx context.Context) (*Tenant, error) {
	return get[Tenant](ctx, c, "/v1/tenant")
}

// GetEntitlements reads what the tenant is entitled to; with IfNoneMatch it may return ErrNotModified. Role: readonly.
func (c *Client) GetEntitlements(ctx context.Context, options ...RequestOption) (*Entitlements, error) {
	return send[Entitlements](ctx, c, call{method: http.MethodGet, path: "/v1/entitlements", options: options})
}

// ListAPIKeys reads one page of API keys, oldest first. Role: admin.
func (c *Client) ListAPIKeys(ctx context.Context, o PageOptions) (*Page[APIKey], error) {
	q := newQuery()
	q.page(o)
	return send[Page[APIKey]](ctx, c, call{method: http.MethodGet, path: "/v1/api-keys", query: q})
}

// AllAPIKeys yields the API keys of all pages from o.Cursor on; an error ends it.
func (c *Client) AllAPIKeys(ctx context.Context, o PageOptions) iter.Seq2[APIKey, error] {
	return walk(o.Cursor, func(cursor string) (*Page[APIKey], error) {
		o.Cursor = cursor
		return c.ListAPIKeys(ctx, o)
	})
}

// CreateAPIKey creates an API key. Role: admin.
func (c *Client) CreateAPIKey(ctx context.Context, r CreateAPIKeyRequest, options ...RequestOption) (*CreatedAPIKey, error) {
	return send[CreatedAPIKey](ctx, c, call{method: http.MethodPost, path: "/v1/api-keys", body: r, options: options})
}

// DeleteAPIKey revokes an API key. Role: admin.
func (c *Client) DeleteAPIKey(ctx context.Context, id string) error {
	_, err := c.do(ctx, call{method: http.MethodDelete, path: path("/v1/api-keys/%s", id)}, nil)
	return err
}
