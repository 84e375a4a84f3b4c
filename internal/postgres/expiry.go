package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/syncer"
)

// PassExpiries implements [syncer.CredentialStore]. Of several that ask at once each expiry goes to one: an update waits for
// the other's and then looks at the row anew.
func (s *Store) PassExpiries(ctx context.Context, now time.Time) ([]syncer.Expiry, error) {
	var rows []struct {
		Tenant    uuid.UUID `db:"tenant_public"`
		ID        uuid.UUID `db:"public_id"`
		ExpiresAt time.Time `db:"expires_at"`
		Threshold int       `db:"secret_warned"`
	}
	thresholds := connector.ExpiryThresholds()
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			with near as (
			  select i.tenant_id, i.id, t.public_id as tenant_public,
			         (select min(n) from unnest($2::int[]) n where least(i.secret_expires_at, i.secret_expired_at) <= $1::timestamptz + make_interval(days => n)) as threshold
			  from integration i join tenant t on t.id = i.tenant_id
			  where i.secret_box is not null and least(i.secret_expires_at, i.secret_expired_at) <= $1::timestamptz + make_interval(days => $3) and t.state = 'active'
			)
			update integration i set secret_warned = n.threshold from near n
			where i.tenant_id = n.tenant_id and i.id = n.id and (i.secret_warned is null or i.secret_warned > n.threshold)
			returning n.tenant_public, i.public_id, least(i.secret_expires_at, i.secret_expired_at) as expires_at, i.secret_warned`, now, pq.Array(thresholds), thresholds[0])
	})
	passed := make([]syncer.Expiry, len(rows))
	for i, r := range rows {
		passed[i] = syncer.Expiry{TenantPublic: r.Tenant, Integration: r.ID, ExpiresAt: r.ExpiresAt.UTC(), Threshold: r.Threshold}
	}
	return passed, err
}
