package postgres

import (
	"context"
	"time"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/job"
	"pgp.internal/defender/internal/tenant"
)

// offboardRetry is how long after it was set aside an off-boarding is queued again.
const offboardRetry = time.Hour

// inTenantAndTrail is inTenant for what is told to the platform's chain too.
func (s *Store) inTenantAndTrail(ctx context.Context, id tenant.ID, f func(*sqlx.Tx) error) error {
	return s.inTx(ctx, tenantScope(id)+"; set local app.system = 'on'", f)
}

// DeleteTenant begins the end of a tenant, for good, in one transaction: it is served no more, its data keys and sealed secrets are
// destroyed, its API keys revoked, its runs ended so that no worker writes any more, and a job is queued that deletes all that is
// left; see [Store.PurgeTenant]. A version other than 0 must be the current one. Asked for again it is the fault conflict.
func (s *Store) DeleteTenant(ctx context.Context, id tenant.ID, version int64) (deleting tenant.Tenant, err error) {
	err = s.inTenantAndTrail(ctx, id, func(tx *sqlx.Tx) error {
		before, err := lockWhole(ctx, tx, id, version)
		if err != nil {
			return err
		}
		ended, err := endRuns(ctx, tx, id)
		if err != nil {
			return err
		}
		changes, err := shred(ctx, tx, id)
		if err != nil {
			return err
		}
		var row tenantRow
		err = tx.GetContext(ctx, &row, `
			update tenant set state = 'deleting', version = version + 1, updated_at = now() where id = $1 returning `+tenantColumns, id)
		if err != nil {
			return err
		}
		deleting = row.tenant()
		_, err = tx.ExecContext(ctx, `insert into job (tenant_id, kind, subject, run_id) values ($1, $2, $3, 0)`, id, job.Offboard, deleting.PublicID)
		if err != nil {
			return err
		}
		asked := deed{
			action: audit.TenantDeletionRequested, resource: on(tenant.TenantPrefix, deleting.PublicID),
			changes: append(audit.Diff(nil, "state", before.State, deleting.State), changes...),
		}
		if err := s.record(ctx, tx, audit.Platform, asked); err != nil { // first: all take the heads of chains in one order
			return err
		}
		return s.recordAll(ctx, tx, id, append(ended, asked))
	})
	return deleting, err
}

// shred destroys what opens a tenant's secrets, these themselves, and what lets its callers in. It tells how many there were.
func shred(ctx context.Context, tx *sqlx.Tx, id tenant.ID) ([]audit.Change, error) {
	keys, err := affected(ctx, tx, `delete from tenant_key where tenant_id = $1`, id)
	if err != nil {
		return nil, err
	}
	secrets, err := affected(ctx, tx, `
		update integration set secret_box = null, secret_hint = '', next_run_at = null, `+nothingStaged+`
		where tenant_id = $1 and (secret_box is not null or staged_box is not null)`, id)
	if err != nil {
		return nil, err
	}
	credentials, err := affected(ctx, tx, `update api_key set revoked_at = now(), box = '' where tenant_id = $1 and revoked_at is null`, id)
	if err != nil {
		return nil, err
	}
	changes := audit.Diff(audit.Diff(audit.Diff(nil, "data_keys", keys, int64(0)), "sealed_secrets", secrets, int64(0)), "api_keys", credentials, int64(0))
	return changes, addPurged(ctx, tx, id, "tenant_key", keys)
}

// scheduleOffboarding queues the deletion of tenants again that it was set aside for, an hour later.
func scheduleOffboarding(ctx context.Context, tx *sqlx.Tx, now time.Time) (int64, error) {
	return affected(ctx, tx, `
		insert into job (tenant_id, kind, subject, run_id)
		select t.id, $2::text, t.public_id, 0 from tenant t
		where t.state = 'deleting'
		  and not exists (select from job j where j.tenant_id = t.id and j.kind = $2 and (j.state <> 'dead' or j.run_at > $1))
		on conflict do nothing`, now.Add(-offboardRetry), job.Offboard)
}
