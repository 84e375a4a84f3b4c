package api

import (
	"context"
	"iter"
	"net/http"
	"time"
)

// AuditAction is what was done.
type AuditAction string

// Actions; openapi.yaml explains those that do not explain themselves.
const (
	AuditIntegrationCreated       AuditAction = "integration.created"
	AuditIntegrationUpdated       AuditAction = "integration.updated"
	AuditIntegrationRotated       AuditAction = "integration.secret_rotated"
	AuditIntegrationStaged        AuditAction = "integration.secret_staged"
	AuditIntegrationStagedDropped AuditAction = "integration.staged_secret_dropped"
	AuditIntegrationStagedAdopted AuditAction = "integration.staged_secret_adopted"
	AuditIntegrationStagedTried   AuditAction = "integration.staged_secret_tried"
	AuditIntegrationValidated     AuditAction = "integration.validated"
	AuditIntegrationResealed      AuditAction = "integration.secret_resealed"
	AuditIntegrationUnreadable    AuditAction = "integration.secret_unreadable"
	AuditIntegrationStateChanged  AuditAction = "integration.state_changed"
	AuditIntegrationPaused        AuditAction = "integration.paused"
	AuditIntegrationResumed       AuditAction = "integration.resumed"
	AuditIntegrationDisconnected  AuditAction = "integration.disconnected"
	AuditIntegrationPurged        AuditAction = "integration.purge_requested"
	AuditIntegrationEmptied       AuditAction = "integration.purged"
	AuditRunStarted               AuditAction = "run.started"
	AuditRunCancelled             AuditAction = "run.cancelled"
	AuditHeldChangeApproved       AuditAction = "held_change.approved"
	AuditAPIKeyCreated            AuditAction = "api_key.created"
	AuditAPIKeyRevoked            AuditAction = "api_key.revoked"
	AuditAPIKeyResealed           AuditAction = "api_key.resealed" // #nosec G101 -- the name of a deed
	AuditTenantCreated            AuditAction = "tenant.created"
	AuditTenantUpdated            AuditAction = "tenant.updated"
	AuditTenantStateChanged       AuditAction = "tenant.state_changed"
	AuditTenantPlaced             AuditAction = "tenant.placed"
	AuditTenantShredded           AuditAction = "tenant.data_keys_destroyed"
	AuditTenantKeyRewrapped       AuditAction = "tenant.data_key_rewrapped"
	AuditTenantKeyRenewed         AuditAction = "tenant.data_key_renewed"
	AuditTenantKeyDropped         AuditAction = "tenant.data_key_dropped"
	AuditTenantDeletionRequested  AuditAction = "tenant.deletion_requested"
	AuditTenantDeleted            AuditAction = "tenant.deleted"
	AuditEntitlementSet           AuditAction = "entitlement.set"
	AuditAccessDenied             AuditAction = "access.denied"
)

// AuditOutcome is how it ended.
type AuditOutcome string

// Outcomes. Refused means that the actor was not permitted; failed that it was, and it did not come about.
const (
	AuditSucceeded AuditOutcome = "succeeded"
	AuditRefused   AuditOutcome = "refused"
	AuditFailed    AuditOutcome = "failed"
)

// AuditActorKind is what sort of actor acted.
type AuditActorKind string

// Kinds of actors.
const (
	AuditByAPIKey AuditActorKind = "api_key"
	AuditByToken  AuditActorKind = "token"
	AuditByCLI    AuditActorKind = "cli"    // an operator's command
	AuditBySystem AuditActorKind = "system" // the service by itself
)

// AuditEvent is what was done to what, by whom. Sequence counts a tenant's events without gaps, from 1; RequestID and Address are
// empty when there was no request.
type AuditEvent struct {
	ID        string        `json:"id"`
	Sequence  int64         `json:"sequence"`
	At        time.Time     `json:"at"`
	Actor     AuditActor    `json:"actor"`
	Action    AuditAction   `json:"action"`
	Resource  AuditResource `json:"resource"`
	Outcome   AuditOutcome  `json:"outcome"`
	RequestID string        `json:"request_id,omitempty"`
	Address   string        `json:"address,omitempty"`
	Changes   []AuditChange `json:"changes"`
	// Problem is [AuditUnreadable] for an event that was changed in the database so that what it changed cannot be told any more;
	// Changes is empty then.
	Problem string `json:"problem,omitempty"`
}

// AuditUnreadable is the problem of an event whose changes cannot be read.
const AuditUnreadable = "unreadable"

// AuditActor is who did it.
type AuditActor struct {
	Kind AuditActorKind `json:"kind"`
	ID   string         `json:"id,omitempty"`
	Name string         `json:"name"`
}

// AuditResource is what it was done to.
type AuditResource struct {
	Type string `json:"type"`
	ID   string `json:"id"`
}

// AuditChange is one member before and after; empty is no value.
type AuditChange struct {
	Field  string `json:"field"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// ListAuditEventsOptions filter events. The zero value filters nothing.
type ListAuditEventsOptions struct {
	Actor    []string // ids or kinds of actors
	Action   []AuditAction
	Resource []string // ids
	Outcome  []AuditOutcome
	AtGTE    time.Time // at or after
	AtLT     time.Time // before
	PageOptions
}

func (o ListAuditEventsOptions) query() query {
	q := newQuery()
	addAll(q, "actor", o.Actor)
	addAll(q, "action", o.Action)
	addAll(q, "resource", o.Resource)
	addAll(q, "outcome", o.Outcome)
	q.time("at_gte", o.AtGTE)
	q.time("at_lt", o.AtLT)
	q.page(o.PageOptions)
	return q
}

// ListAuditEvents reads one page of the tenant's audit trail, newest first. Role: admin.
func (c *Client) ListAuditEvents(ctx context.Context, o ListAuditEventsOptions) (*Page[AuditEvent], error) {
	return send[Page[AuditEvent]](ctx, c, call{method: http.MethodGet, path: "/v1/audit-events", query: o.query()})
}

// AllAuditEvents yields the events of all pages from o.Cursor on; an error ends it.
func (c *Client) AllAuditEvents(ctx context.Context, o ListAuditEventsOptions) iter.Seq2[AuditEvent, error] {
	return walk(o.Cursor, func(cursor string) (*Page[AuditEvent], error) {
		o.Cursor = cursor
		return c.ListAuditEvents(ctx, o)
	})
}

// StreamAuditEvents yields the whole list from one answer; an error ends it, and means that the list is not complete. o.PageOptions must be
// empty. Role: admin.
func (c *Client) StreamAuditEvents(ctx context.Context, o ListAuditEventsOptions) iter.Seq2[AuditEvent, error] {
	return stream[AuditEvent](ctx, c, "/v1/audit-events", o.query())
}
