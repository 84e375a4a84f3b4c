package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// retellLeft gives findings that went out of scope because their import was off the reason of their asset, once it is on and the
// asset has left the scope meanwhile: merged, removed, or refused by a rule. Nobody reads rows of it.
func (st *stage) retellLeft(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	if !o.Rejudged && !o.Recount {
		return nil
	}
	return st.eachShare(ctx, tx, inSetsOf(ctx, tx, func(of share) error { return st.retellLeftShare(ctx, tx, of, o, c) }), outByAsset+` and f.state_reason = $2 group by f.asset_id`, st.job.Tenant, string(inventory.ImportVulnerabilitiesOff))
}

// outByAsset begins a query that weighs findings which are out of scope, for eachShare.
const outByAsset = `select f.asset_id, count(*) as n from finding f where f.tenant_id = $1 and f.state = 3`

func (st *stage) retellLeftShare(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	n, err := affected(ctx, tx, `
		with told as (
		  update finding f set state_reason = a.state_reason, updated_at = $3
		  from asset a
		  where a.tenant_id = $1 and a.integration_id = $2 and a.state not in ('active', 'inactive', 'stale')
		    and f.tenant_id = $1 and f.asset_id = a.id and f.state = 3 and f.state_reason = $4 and a.state_reason <> $4
		    and a.id > $7 and a.id <= $8 and f.asset_id > $7 and f.asset_id <= $8
		  returning f.asset_id, f.vulnerability_id, f.severity, f.state_reason
		)
		insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity)
		select $1, asset_id, vulnerability_id, $5, $3, $6, state_reason, severity from told`,
		st.job.Tenant, st.integration.ID, o.Now, string(inventory.ImportVulnerabilitiesOff), st.job.RunID, inventory.EventOutOfScope, of.after, of.last)
	c.Updated += n
	c.StillOut += n
	return err
}

// retellClosed gives findings that left with their asset the reason that is true now that the asset is back and their import is off.
func (st *stage) retellClosed(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	return st.eachShare(ctx, tx, inSetsOf(ctx, tx, func(of share) error { return st.retellClosedShare(ctx, tx, of, o, c) }), outByAsset+` and f.state_reason <> $2 and f.state_reason <> all($3::text[]) group by f.asset_id`, st.job.Tenant, string(o.CloseReason), rowReasonNames())
}

func (st *stage) retellClosedShare(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	n, err := affected(ctx, tx, `
		with told as (
		  update finding f set state_reason = $4, updated_at = $3
		  from asset a
		  where a.tenant_id = $1 and a.integration_id = $2 and a.state in ('active', 'inactive', 'stale')
		    and f.tenant_id = $1 and f.asset_id = a.id and f.state = 3 and f.state_reason <> $4 and f.state_reason <> all($7::text[])
		    and a.id > $8 and a.id <= $9 and f.asset_id > $8 and f.asset_id <= $9
		  returning f.asset_id, f.vulnerability_id, f.severity, f.state_reason
		)
		insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity)
		select $1, asset_id, vulnerability_id, $5, $3, $6, state_reason, severity from told`,
		st.job.Tenant, st.integration.ID, o.Now, string(o.CloseReason), st.job.RunID, inventory.EventOutOfScope, rowReasonNames(), of.after, of.last)
	c.Updated += n
	c.StillOut += n
	return err
}
