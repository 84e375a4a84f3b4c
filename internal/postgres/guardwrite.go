package postgres

import (
	"context"
	"encoding/json"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/syncer"
)

// remembrance is what the removal guard knew when a transaction began to judge, and what it is to know when that ends.
type remembrance struct {
	was, now guardDocument
	rows     bool // findings were looked at: which assets show some that are held back changes
	partly   bool // by a reading that was not whole
}

// writeGuard stores what the guard wants to be remembered, if anything. What somebody approved of while the transaction judged by older
// figures stays as they saw it, and the next reading goes through with it.
func (st *stage) writeGuard(ctx context.Context, tx *sqlx.Tx) error {
	if st.remember == nil {
		return nil
	}
	var stored guardDocument
	var body []byte
	err := tx.GetContext(ctx, &body, `select guard from integration where tenant_id = $1 and id = $2 for no key update`, st.job.Tenant, st.integration.ID)
	if err == nil {
		err = json.Unmarshal(body, &stored)
	}
	if err != nil {
		return err
	}
	approved := st.remember.heed(stored)
	if body, err = json.Marshal(st.remember.now); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update integration set guard = $3 where tenant_id = $1 and id = $2`, st.job.Tenant, st.integration.ID, string(body))
	if err != nil || !st.remember.rows {
		return err
	}
	return st.noteTold(ctx, tx, approved[guardFindings])
}

// heed takes over what is stored of changes that were approved of since, and are held back still, and tells of which measures these are.
func (r *remembrance) heed(stored guardDocument) map[string]bool {
	approved := map[string]bool{}
	for measure, e := range stored.Held {
		if now, waits := r.now.told(syncer.HeldKind(measure)); waits && now.Run == e.Run && !e.Approved.IsZero() && r.was.Held[measure].Approved.IsZero() {
			r.now.Held[measure], approved[measure] = e, true
		}
	}
	return approved
}

// noteTold marks the assets whose held findings are told by the reading of this transaction, which is what an approval covers. Of what was
// approved of meanwhile, by the figures of an earlier reading, nothing comes to be covered besides; and a reading that was not whole tells only
// what it holds back itself, so that assets with others are not covered.
func (st *stage) noteTold(ctx context.Context, tx *sqlx.Tx, approved bool) error {
	_, told := st.remember.now.told(syncer.HeldFindings)
	if st.remember.partly { // each asset is looked for there
		if _, err := tx.ExecContext(ctx, `analyze withheld`); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `
		update asset a set held_told = not a.held_told
		where a.tenant_id = $1 and a.integration_id = $2 and a.held_findings > 0 and a.held_told <> ($3 and `+inSight+` and (a.held_told or not $4)
		  and not ($5 and exists (select from finding f where f.tenant_id = $1 and f.asset_id = a.id and f.held_since is not null
		    and not exists (select from withheld w where w.asset_id = f.asset_id and w.vulnerability_id = f.vulnerability_id))))`,
		st.job.Tenant, st.integration.ID, told, approved, st.remember.partly)
	return err
}

// inSight is the condition on an asset a that a reading looks at its rows.
const inSight = `a.state in ('active', 'inactive') and not exists (select from kept_asset k where k.asset_id = a.id)`
