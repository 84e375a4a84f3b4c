package postgres

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/audit"
	"pgp.internal/defender/internal/connector"
	"pgp.internal/defender/internal/fault"
	"pgp.internal/defender/internal/syncer"
	"pgp.internal/defender/internal/tenant"
)

// purgeRetry is how long after a purge was queued it is queued again, should it not have ended well.
const purgeRetry = 24 * time.Hour

// takeOver gives a new integration the assets that a disconnected one of the same type and directory left in the tenant, with
// all their history, so that nothing is counted twice. What is being purged stays where it is. Without anything to take over
// it returns 0 and has done nothing.
//
// No asset is touched, however many there are: the new integration takes the number they are kept under, together with what
// the removal guard knows of them, and the old one goes on with its runs under a number of its own.
func takeOver(ctx context.Context, tx *sqlx.Tx, i connector.Integration) (id int64, err error) {
	var public uuid.UUID
	err = tx.GetContext(ctx, &public, `
		select public_id from integration
		where tenant_id = $1 and type = $2 and directory_id = $3 and state = 'disconnected' and purge_at is not null
		order by id desc limit 1 for update`, i.Tenant, i.Kind, i.DirectoryID)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	old, err := readIntegration(ctx, tx, i.Tenant, public)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `
		update integration set public_id = $3, name = $4, client_id = $5, secret_box = $6, secret_hint = $7, secret_updated_at = $8,
		  secret_expires_at = $9, secret_expired_at = null, settings = $10, interval_hours = $11, state = $12, state_reason = '', state_notice = null, failures = 0,
		  next_run_at = $13, wait_until = null, asked_at = null,
		  last_success_at = null, purge_at = null, reading = '{}', version = 1, created_at = $14, updated_at = $14, secret_method = $15, secret_warned = null, recheck_at = now() + `+recheckWorking+`,
		  `+nothingStaged+`
		where tenant_id = $1 and id = $2`,
		i.Tenant, old.ID, i.PublicID, i.Name, i.ClientID, []byte(i.SecretBox), i.SecretHint, i.SecretUpdatedAt, nullTime(i.SecretExpiresAt),
		settingsColumn(i.Settings), i.IntervalHours, i.State, nullTime(i.NextRunAt), i.CreatedAt, i.Method)
	if err != nil {
		return 0, err
	}
	emptied, err := insertIntegration(ctx, tx, old)
	if err != nil {
		return 0, err
	}
	_, err = tx.ExecContext(ctx, `update run set integration_id = $3 where tenant_id = $1 and integration_id = $2`, i.Tenant, old.ID, emptied)
	return old.ID, err
}

// purgeDue is an integration whose data are to go.
type purgeDue struct {
	TenantID int32     `db:"tenant_id"`
	ID       int64     `db:"id"`
	PublicID uuid.UUID `db:"public_id"`
	State    string    `db:"state"`
}

// schedulePurges queues the deletion of what disconnected integrations imported, once it has aged out, and of what an
// earlier purge did not get deleted.
func (s *Store) schedulePurges(ctx context.Context, tx *sqlx.Tx, now time.Time) (queued int, err error) {
	var due []purgeDue
	err = tx.SelectContext(ctx, &due, `
		select i.tenant_id, i.id, i.public_id, i.state from integration i join tenant t on t.id = i.tenant_id
		where i.purge_at <= $1 and i.state in ('disconnecting', 'disconnected') and t.state = 'active'
		order by i.purge_at limit 100
		for update of i skip locked`, now)
	if err != nil {
		return 0, err
	}
	slices.SortFunc(due, func(a, b purgeDue) int { return cmp.Compare(a.TenantID, b.TenantID) }) // all take the heads of chains in one order
	for _, d := range due {
		_, err := insertRun(ctx, tx, tenant.ID(d.TenantID), d.ID, syncer.KindPurge, syncer.BySchedule, syncer.Full)
		switch {
		case fault.Is(err, fault.CodeRunInProgress): // it is being purged
		case err != nil:
			return queued, err
		default:
			queued++
		}
		_, err = tx.ExecContext(ctx, `
			update integration set state = 'disconnecting', purge_at = $3, updated_at = now() where tenant_id = $1 and id = $2`,
			d.TenantID, d.ID, now.Add(purgeRetry))
		if err != nil {
			return queued, err
		}
		err = s.record(ctx, tx, tenant.ID(d.TenantID), deed{
			action: audit.IntegrationPurged, resource: on(tenant.IntegrationPrefix, d.PublicID),
			changes: audit.Diff(nil, "state", d.State, string(connector.StateDisconnecting)),
		})
		if err != nil {
			return queued, err
		}
	}
	return queued, nil
}
