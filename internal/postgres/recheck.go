package postgres

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// How long after a check the stored credentials are tried again, at least: of a link that somebody has to mend, and of one that
// works or will by itself.
const (
	recheckBroken  = `interval '1 hour'`
	recheckWorking = `interval '1 day'`
)

// ClaimRechecks implements [syncer.CredentialStore]. Up to a tenth is added to the time until the next check, so that
// integrations that were connected together drift apart. A check takes seconds, so nobody claims the integration meanwhile.
func (s *Store) ClaimRechecks(ctx context.Context, now time.Time, n int) ([]syncer.Recheck, error) {
	var rows []struct {
		TenantID int32     `db:"tenant_id"`
		Tenant   uuid.UUID `db:"tenant_public"`
		ID       uuid.UUID `db:"public_id"`
	}
	err := s.inSystem(ctx, func(tx *sqlx.Tx) error {
		return tx.SelectContext(ctx, &rows, `
			with due as (
			  select i.tenant_id, i.id, t.public_id as tenant_public from integration i join tenant t on t.id = i.tenant_id
			  where i.recheck_at <= $1 and i.secret_box is not null and i.state in ('active', 'degraded', 'action_required') and t.state = 'active'
			  order by i.recheck_at limit $2
			  for update of i skip locked
			)
			update integration i set recheck_at = $1::timestamptz + (1 + random() / 10) *
			  case when i.state = 'action_required' then `+recheckBroken+` else `+recheckWorking+` end
			from due d where i.tenant_id = d.tenant_id and i.id = d.id
			returning i.tenant_id, d.tenant_public, i.public_id`, now, n)
	})
	claimed := make([]syncer.Recheck, len(rows))
	for i, r := range rows {
		claimed[i] = syncer.Recheck{Tenant: tenant.ID(r.TenantID), TenantPublic: r.Tenant, Integration: r.ID}
	}
	return claimed, err
}
