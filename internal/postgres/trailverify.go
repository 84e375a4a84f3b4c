package postgres

import (
	"context"
	"database/sql"
	"errors"
	"math"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/tenant"
)

// AuditChains lists the chains that there are, the platform's first; those of tenants that are gone are among them, and those that the
// platform's says there were, by the creation of a tenant or the proof of its deletion.
func (s *Store) AuditChains(ctx context.Context) (chains []tenant.ID, err error) {
	err = s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &chains, `
			select $1::int union select tenant_id from audit_head union select distinct tenant_id from audit_event union select id from tenant
			union select (c ->> 'after')::int from audit_event e, jsonb_array_elements(case jsonb_typeof(e.changes) when 'array' then e.changes else '[]' end) c
			where e.tenant_id = $1 and e.action in ($2, $3) and c ->> 'field' = $4 and c ->> 'after' ~ '^[0-9]{1,9}$' order by 1`,
			audit.Platform, audit.TenantDeleted, audit.TenantCreated, proofNumber)
	})
	return chains, err
}

// GoneTenants gives the public ids of tenants that are not there any more, by the numbers of their chains, as the platform's tells them: by their
// creation or the proof of their deletion.
func (s *Store) GoneTenants(ctx context.Context) (map[tenant.ID]string, error) {
	var rows []struct {
		Number   int32  `db:"number"`
		PublicID string `db:"resource_id"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			select distinct (c ->> 'after')::int as number, e.resource_id from audit_event e, jsonb_array_elements(case jsonb_typeof(e.changes) when 'array' then e.changes else '[]' end) c
			where e.tenant_id = $1 and e.action in ($2, $3) and c ->> 'field' = $4 and c ->> 'after' ~ '^[0-9]{1,9}$'
			  and not exists (select from tenant t where t.id::text = c ->> 'after')`,
			audit.Platform, audit.TenantDeleted, audit.TenantCreated, proofNumber)
	})
	gone := make(map[tenant.ID]string, len(rows))
	for _, r := range rows {
		gone[tenant.ID(r.Number)] = r.PublicID
	}
	return gone, err
}

// LiveTenants gives the public ids of the tenants that are there, by the numbers of their chains. It reads nothing else of them, so that
// nothing else that somebody writes into a tenant's row keeps the trail from being verified.
func (s *Store) LiveTenants(ctx context.Context) (map[tenant.ID]string, error) {
	var rows []struct {
		Number   int32     `db:"id"`
		PublicID uuid.UUID `db:"public_id"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `select id, public_id from tenant`)
	})
	live := make(map[tenant.ID]string, len(rows))
	for _, r := range rows {
		live[tenant.ID(r.Number)] = tenant.PublicText(tenant.TenantPrefix, r.PublicID)
	}
	return live, err
}

// verifyBatch is how many events are read at a time.
const verifyBatch = 1000

// VerifyAudit reads a whole chain and checks it with the keys at hand, by their ids; changes of its tenant wait at the end
// only. It tells what it found, and of a chain that is not what was written the first event, by an *[audit.BrokenError]. That a
// chain begins and ends as it must is held against the platform's, which is proven only if it holds itself.
func (s *Store) VerifyAudit(ctx context.Context, chain tenant.ID, keys map[string]audit.Key) (audit.Verdict, error) {
	v := audit.NewVerifier(chain, keys)
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		after, err := verifyAfter(ctx, tx, v, chain, math.MinInt64)
		if err != nil {
			return err
		}
		// Nobody adds an event while the head is held, so what follows is as far as it tells; it is little.
		var head audit.Head
		err = tx.GetContext(ctx, &head, `select sequence, hash from audit_head where tenant_id = $1 for share`, chain)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		if _, err := verifyAfter(ctx, tx, v, chain, after); err != nil {
			return err
		}
		if err := v.End(head); err != nil {
			return err
		}
		if chain == audit.Platform {
			return verifyCreations(ctx, tx, v)
		}
		return verifyProofs(ctx, tx, v, chain)
	})
	return v.Verdict(), err
}

// verifyAfter checks what comes after an event, batch by batch, and gives the number of the last one.
func verifyAfter(ctx context.Context, tx *sqlx.Tx, v *audit.Verifier, chain tenant.ID, after int64) (int64, error) {
	for {
		var rows []auditRow
		err := tx.SelectContext(ctx, &rows, `
			select * from audit_event where tenant_id = $1 and sequence > $2 order by sequence limit $3`, chain, after, verifyBatch)
		if err != nil {
			return after, err
		}
		for i := range rows {
			sealed, err := rows[i].sealed()
			if err != nil {
				return after, v.Unreadable(rows[i].Sequence)
			}
			if err := v.Add(&sealed); err != nil {
				return after, err
			}
			after = sealed.Sequence
		}
		if len(rows) < verifyBatch {
			return after, nil
		}
	}
}
