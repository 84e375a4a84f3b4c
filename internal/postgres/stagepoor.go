package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// keepUntold lets findings keep the severity that only the score of a row tells, where the rows are too poor to have one.
func (st *stage) keepUntold(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	if !o.Poor {
		return nil
	}
	// The index is for a tenant that the statistics do not know; see indexDelta.
	if _, err := tx.ExecContext(ctx, `create index on incoming_finding (asset_id, vulnerability_id); analyze incoming_finding`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		update incoming_finding i set severity = f.severity, source = f.severity_source from finding f
		where f.tenant_id = $1 and f.asset_id = i.asset_id and f.vulnerability_id = i.vulnerability_id and f.severity_source = $2 and i.source = $3`,
		st.job.Tenant, inventory.FromRowScore, inventory.FromNothing)
	return err
}

// keepUnread leaves findings open that are missing from rows some of which could not be read, or that changes tell to be gone, which one that
// could not be read may have taken back; and those whose refused rows do not tell that all are.
func (st *stage) keepUnread(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	if !o.Incomplete {
		return nil
	}
	unsure, err := st.unsure(ctx, tx, o)
	if err != nil {
		return err
	}
	if !o.Changes { // which leave no hashes
		err := st.compareAgain(ctx, tx, `select asset_id from delta where op in ('f', 'g') or op in ('o', 's') and vulnerability_id = any($3)`, unsure)
		if err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `delete from delta where op in ('f', 'g') or op in ('o', 's') and vulnerability_id = any($1)`, unsure)
	return err
}

// unsure are the vulnerabilities with refused rows of which another one, that was not read, may count: where it is for the row to say. Under new settings
// those that were read decide, since there may be one that is never read. Rows that are too poor to be judged by decide nothing.
func (st *stage) unsure(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings) (any, error) {
	var refused []traitRow
	err := tx.SelectContext(ctx, &refused, `
		select `+traitColumns+` from vulnerability k where k.id in (select vulnerability_id from delta where op in ('o', 's'))`)
	ids := make([]int32, 0, len(refused))
	for _, r := range refused {
		v := r.vulnerability()
		if _, told := o.Judge.AnyRow(inventory.TraitsOf(&v)); o.Poor || !told && !o.Rejudged {
			ids = append(ids, r.ID)
		}
	}
	return pq.Array(ids), err
}
