package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// openFindings adds up the open findings of the integration by the counters of its assets. They follow the deltas of the runs,
// while the figures of a run are those of the rows that its statements met: that the two agree is worth a check.
func (st *stage) openFindings(ctx context.Context, tx *sqlx.Tx) (n int64, err error) {
	err = tx.GetContext(ctx, &n, `
		select coalesce(sum(open_critical + open_high + open_medium + open_low + open_unknown), 0) from asset
		where tenant_id = $1 and integration_id = $2`, st.job.Tenant, st.integration.ID)
	return n, err
}

func (st *stage) openBefore(ctx context.Context, tx *sqlx.Tx, p *machinePlan) (err error) {
	p.done.OpenBefore, err = st.openFindings(ctx, tx)
	return err
}

func (st *stage) openAfter(ctx context.Context, tx *sqlx.Tx, p *machinePlan) (err error) {
	p.done.OpenAfter, err = st.openFindings(ctx, tx)
	return err
}

// countAfter takes down what is open now, and how many of the compared assets have other counters than the run counted while it
// grouped their rows. Changes do not tell all rows of an asset, poor rows not all of a severity, and assets with closings that were held back are not among
// the compared ones.
func (st *stage) countAfter(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) (err error) {
	if c.OpenAfter, err = st.openFindings(ctx, tx); err != nil || o.Changes || o.Poor || o.CloseReason != inventory.Accepted {
		return err
	}
	return tx.GetContext(ctx, &c.Miscounted, `
		select count(*) from changed_asset c join asset a on a.tenant_id = $1 and a.id = c.asset_id
		where (a.open_unknown, a.open_low, a.open_medium, a.open_high, a.open_critical)
		   <> (c.open_unknown, c.open_low, c.open_medium, c.open_high, c.open_critical)`, st.job.Tenant)
}
