package httpapi

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/identity"
	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/seal"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// Deps is everything the API needs. All fields are required but Limits and TrustedProxies.
type Deps struct {
	Integrations    Integrations
	Runs            RunStore
	Assets          AssetReader
	Vulnerabilities VulnerabilityReader
	Findings        FindingReader
	Tenants         TenantReader
	Keys            KeyStore
	Tokens          Tokens
	Audit           AuditTrail
	Platform        TenantStore
	Repeats         RepeatStore

	// Explain tells in plain language why a run imported what it did.
	Explain func(syncer.Run, connector.Integration, tenant.Entitlement, time.Time) []syncer.Notice
	// Wake hints to the workers that a run was queued; it must not block.
	Wake func()
	// Now is the clock.
	Now func() time.Time

	Limits Limits // zero: none
	// TrustedProxies are the networks whose X-Forwarded-For counts, as CIDR; none: the connection's own address always does.
	TrustedProxies []string
	CursorKey      []byte // signs cursors; at least 32 bytes, the same in every replica
	OpenAPI        []byte // the contract in YAML
	Version        Version
	Log            *slog.Logger
	Meter          Meter
}

// Version says what is running.
type Version struct {
	Version  string
	Revision string
}

// Meter counts requests. Routes are templates such as /v1/assets/{id}, or "unmatched", and methods are those of HTTP or
// "OTHER", so that callers cannot invent labels.
type Meter interface {
	RequestStarted()
	RequestFinished(route, method string, status int, took time.Duration)
}

// Integrations connects, changes and disconnects integrations.
type Integrations interface {
	Catalogue() []connector.Description
	Describe(kind connector.Kind) (connector.Description, error)
	Preview(ctx context.Context, t tenant.ID, d connector.Draft) (connector.Integration, []connector.Check, error)
	Connect(ctx context.Context, t tenant.ID, d connector.Draft) (connector.Integration, []connector.Check, error)
	Get(ctx context.Context, t tenant.ID, id uuid.UUID) (connector.Integration, error)
	List(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]connector.Integration, inventory.Position, error)
	Change(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, ch connector.Change) (connector.Integration, error)
	RotateSecret(ctx context.Context, t tenant.ID, id uuid.UUID, r connector.Rotation) (connector.Integration, []connector.Check, error)
	StageSecret(ctx context.Context, t tenant.ID, id uuid.UUID, r connector.Rotation) (connector.Integration, error)
	DropStaged(ctx context.Context, t tenant.ID, id uuid.UUID, version int64) error
	Validate(ctx context.Context, t tenant.ID, id uuid.UUID) ([]connector.Check, error)
	Pause(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, cancelRun bool) (connector.Integration, error)
	Resume(ctx context.Context, t tenant.ID, id uuid.UUID, version int64) (connector.Integration, error)
	// CountRun refuses, with the fault rate_limited, a run that would try once too often what was refused. Undo is for when none comes of it.
	CountRun(i *connector.Integration) (undo func(), err error)
	Disconnect(ctx context.Context, t tenant.ID, id uuid.UUID, version int64, purge bool) (uuid.UUID, error)
}

// RunStore starts, reads and cancels runs.
type RunStore interface {
	HeldChanges(ctx context.Context, t tenant.ID, integration uuid.UUID) ([]syncer.HeldChange, error)
	ApproveHeldChange(ctx context.Context, t tenant.ID, integration uuid.UUID, a syncer.Approval, now time.Time) (syncer.HeldChange, error)
	StartRun(ctx context.Context, t tenant.ID, integration uuid.UUID, mode syncer.Mode) (syncer.Run, error)
	StartPreview(ctx context.Context, t tenant.ID, integration uuid.UUID, mode syncer.Mode, p syncer.Preview) (syncer.Run, error)
	ListRuns(ctx context.Context, t tenant.ID, f syncer.RunFilter, page inventory.PageRequest) ([]syncer.Run, inventory.Position, error)
	Run(ctx context.Context, t tenant.ID, id uuid.UUID) (syncer.Run, error)
	RunsByID(ctx context.Context, t tenant.ID, ids []uuid.UUID) ([]syncer.Run, error)
	ListSkipped(ctx context.Context, t tenant.ID, id uuid.UUID, reasons []inventory.Reason, page inventory.PageRequest) ([]syncer.SkippedRecord, inventory.Position, error)
	Reconciliation(ctx context.Context, t tenant.ID, integration uuid.UUID) (syncer.Reconciliation, error)
	CancelRun(ctx context.Context, t tenant.ID, id uuid.UUID) (syncer.Run, error)
}

// AssetReader reads assets.
type AssetReader interface {
	ListAssets(ctx context.Context, t tenant.ID, f inventory.AssetFilter, page inventory.PageRequest) ([]inventory.Asset, inventory.Position, error)
	Asset(ctx context.Context, t tenant.ID, id uuid.UUID) (inventory.Asset, error)
}

// VulnerabilityReader reads the vulnerabilities that a tenant has findings of.
type VulnerabilityReader interface {
	ListVulnerabilities(ctx context.Context, t tenant.ID, f inventory.VulnerabilityFilter, page inventory.PageRequest) ([]inventory.ExposedVulnerability, inventory.Position, error)
	Vulnerability(ctx context.Context, t tenant.ID, name string) (inventory.ExposedVulnerability, error)
}

// FindingReader reads findings and the counts over them.
type FindingReader interface {
	ListFindings(ctx context.Context, t tenant.ID, f inventory.FindingFilter, page inventory.PageRequest) ([]inventory.Finding, inventory.Position, error)
	// EachFinding hands over all of them in batches, holding nothing of the database while take runs.
	EachFinding(ctx context.Context, t tenant.ID, f inventory.FindingFilter, take func([]inventory.Finding) error) error
	Finding(ctx context.Context, t tenant.ID, asset uuid.UUID, vulnID int32) (inventory.Finding, error)
	FindingHistory(ctx context.Context, t tenant.ID, asset uuid.UUID, vulnID int32) ([]inventory.Event, error)
	Summary(ctx context.Context, t tenant.ID) (inventory.Summary, error)
}

// TenantReader reads the caller's own tenant.
type TenantReader interface {
	Tenant(ctx context.Context, t tenant.ID) (tenant.Tenant, error)
	Entitlement(ctx context.Context, t tenant.ID) (tenant.Entitlement, error)
	// ActiveTenant finds a tenant by its public id or, when that is zero, by its PGP account. One that is not active is not found,
	// and comes back beside the fault.
	ActiveTenant(ctx context.Context, id uuid.UUID, account string) (tenant.Tenant, error)
}

// TenantStore manages all tenants. Only the role platform gets this far.
type TenantStore interface {
	PageTenants(ctx context.Context, f tenant.Filter, page inventory.PageRequest) ([]tenant.Tenant, inventory.Position, error)
	CreateTenant(ctx context.Context, name, account string) (tenant.Tenant, error)
	TenantByPublicID(ctx context.Context, id uuid.UUID) (tenant.Tenant, error)
	// UpdateTenant applies change under a lock; DeleteTenant begins the end of a tenant. A version other than 0 must be the current one.
	UpdateTenant(ctx context.Context, t tenant.ID, version int64, change func(*tenant.Tenant)) (tenant.Tenant, error)
	DeleteTenant(ctx context.Context, t tenant.ID, version int64) (tenant.Tenant, error)
	// SetEntitlement replaces what is there; a version in it other than 0 must be the current one.
	SetEntitlement(ctx context.Context, t tenant.ID, e tenant.Entitlement) error
}

// Tokens checks tokens that PGP issued. Of one that was good until it expired it gives beside the fault what it says.
type Tokens interface {
	Verify(ctx context.Context, text string) (identity.Token, error)
}

// KeyStore manages API keys and finds out who presents one.
type KeyStore interface {
	// PrincipalByKey gives for a key that is known and refused, beside the fault, whose it is and why.
	PrincipalByKey(ctx context.Context, key seal.Secret) (tenant.Principal, error)
	CreateAPIKey(ctx context.Context, t tenant.ID, k tenant.APIKey, key seal.Secret) (tenant.APIKey, error)
	APIKey(ctx context.Context, t tenant.ID, id uuid.UUID) (tenant.APIKey, error)
	ListAPIKeys(ctx context.Context, t tenant.ID, page inventory.PageRequest) ([]tenant.APIKey, inventory.Position, error)
	RevokeAPIKey(ctx context.Context, t tenant.ID, id uuid.UUID) error
}
