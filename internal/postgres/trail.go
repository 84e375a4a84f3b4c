package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/tenant"
)

// deed is what a change does to one thing; the context says who does it.
type deed struct {
	action   audit.Action
	resource audit.Resource
	outcome  audit.Outcome // empty for succeeded
	changes  []audit.Change
}

func on(prefix string, id uuid.UUID) audit.Resource {
	kind := map[string]string{
		tenant.TenantPrefix: "tenant", tenant.KeyPrefix: "api_key", tenant.IntegrationPrefix: "integration", tenant.RunPrefix: "run",
	}[prefix]
	return audit.Resource{Type: kind, ID: tenant.PublicText(prefix, id)}
}

// record adds an event to a chain in the transaction of the change itself; it comes last there, because from here to the
// transaction's end other changes of the tenant wait. Where it cannot be written the change is refused as unavailable. What a
// request with an Idempotency-Key has changed is remembered beside it.
func (s *Store) record(ctx context.Context, tx *sqlx.Tx, chain tenant.ID, d deed) error {
	origin, err := s.originOf(ctx)
	if err != nil {
		return err
	}
	if d.outcome == "" { // what failed may be tried again
		if err := remember(ctx, tx, d.resource.ID); err != nil {
			return err
		}
	}
	if err := s.appendEvent(ctx, tx, chain, origin, d); err != nil {
		if ctx.Err() != nil {
			return err
		}
		if told := classify(ctx, err); fault.Is(told, fault.CodeReadOnly) || fault.Is(told, fault.CodeUnauthenticated) {
			return told
		}
		e := fault.Wrap(err, fault.CodeUnavailable, "the change could not be recorded in the audit trail")
		e.RetryAfter = 5 * time.Second
		return e
	}
	return nil
}

// recordAll is record for what one change does to several things.
func (s *Store) recordAll(ctx context.Context, tx *sqlx.Tx, chain tenant.ID, deeds []deed) error {
	for _, d := range deeds {
		if err := s.record(ctx, tx, chain, d); err != nil {
			return err
		}
	}
	return nil
}

// originOf is who the context says, else the one that the store works for.
func (s *Store) originOf(ctx context.Context) (audit.Origin, error) {
	origin, err := audit.OriginOf(ctx)
	if err != nil && s.actor != (audit.Actor{}) {
		return audit.OriginOf(audit.WithActor(ctx, s.actor))
	}
	return origin, err
}

func (s *Store) appendEvent(ctx context.Context, tx *sqlx.Tx, chain tenant.ID, o audit.Origin, d deed) error {
	head, err := lockHead(ctx, tx, chain)
	if err != nil {
		return err
	}
	if err := mayGrow(ctx, tx, chain); err != nil {
		return err
	}
	e := audit.Event{
		ID: newID(), Tenant: chain, Sequence: head.Sequence + 1, At: time.Now().UTC().Truncate(time.Microsecond), Actor: o.Actor,
		Action: d.action, Resource: d.resource, Outcome: d.outcome, RequestID: o.RequestID, Address: o.Address, Changes: d.changes,
	}
	if e.Outcome == "" {
		e.Outcome = audit.Succeeded
	}
	body, err := json.Marshal(listOf(e.Changes))
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `
		with head as (update audit_head set sequence = $2, hash = $16 where tenant_id = $1)
		insert into audit_event (tenant_id, sequence, public_id, at, actor_kind, actor_id, actor_name, action, resource_type, resource_id,
		  outcome, request_id, address, changes, key_id, hash)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
		chain, e.Sequence, e.ID, e.At, e.Actor.Kind, e.Actor.ID, e.Actor.Name, e.Action, e.Resource.Type, e.Resource.ID,
		e.Outcome, e.RequestID, e.Address, string(body), s.auditKey.ID, s.auditKey.Hash(head.Hash, &e))
	return err
}

// mayGrow refuses to add to the chain of a tenant that is gone: the proof of its deletion says where that ended. It is asked behind the lock of the
// chain, which the deletion holds until it is done.
func mayGrow(ctx context.Context, tx *sqlx.Tx, chain tenant.ID) error {
	if chain == audit.Platform {
		return nil
	}
	var there bool
	if err := tx.GetContext(ctx, &there, `select exists (select from tenant where id = $1)`, chain); err != nil {
		return err
	}
	if !there {
		return fault.New(fault.CodeUnauthenticated, "the tenant was deleted just now")
	}
	return nil
}

// lockHead gives the end of a chain, which is made with its first event, and keeps it until the transaction ends.
func lockHead(ctx context.Context, tx *sqlx.Tx, chain tenant.ID) (head audit.Head, err error) {
	const lock = `select sequence, hash from audit_head where tenant_id = $1 for update`
	err = tx.GetContext(ctx, &head, lock, chain)
	if !errors.Is(err, sql.ErrNoRows) {
		return head, err
	}
	_, err = tx.ExecContext(ctx, `insert into audit_head (tenant_id, sequence, hash) values ($1, 0, '') on conflict do nothing`, chain)
	if err != nil {
		return head, err
	}
	err = tx.GetContext(ctx, &head, lock, chain)
	return head, err
}

// RecordDenial notes that the context's actor was refused something, why, and how often since this was noted last.
func (s *Store) RecordDenial(ctx context.Context, t tenant.ID, operation string, why tenant.Refusal, times int) error {
	return s.inTenant(ctx, t, func(tx *sqlx.Tx) error {
		return s.record(ctx, tx, t, deed{
			action: audit.AccessDenied, resource: audit.Resource{Type: "operation", ID: operation}, outcome: audit.Refused,
			changes: audit.Diff(audit.Diff(nil, "reason", "", why), "times", nil, times),
		})
	})
}
