package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
)

// writeReading makes the integration remember what the running transaction takes from its reading. It is written at the end of
// the transaction, so that nobody who changes the integration waits for it.
func (st *stage) writeReading(ctx context.Context, tx *sqlx.Tx) error {
	if st.doubt == "" && !st.relist {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
		update integration set reading = case when $4 then reading - 'machines_at' else reading end || jsonb_strip_nulls(jsonb_build_object('doubt', nullif($3, '')))
		where tenant_id = $1 and id = $2`, st.job.Tenant, st.integration.ID, st.doubt, st.relist)
	return err
}
