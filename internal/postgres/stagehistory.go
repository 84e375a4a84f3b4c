package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// recordEvents keeps what the run does to findings, by the letters of compareFindings.
func (st *stage) recordEvents(ctx context.Context, tx *sqlx.Tx, of share, o syncer.ApplyFindings, _ *syncer.FindingChanges) error {
	_, err := tx.ExecContext(ctx, `
		insert into finding_event (tenant_id, asset_id, vulnerability_id, run_id, at, change, reason, severity, old_severity, old_software_ids)
		select $1, d.asset_id, d.vulnerability_id, $2, $3,
		       case d.op when 'c' then $4 when 'u' then $5 when 'f' then $6 when 'g' then $6 when 'r' then $7 when 'b' then $8 else $9 end::smallint,
		       case when d.op in ('o', 's') then ($10::text[])[d.reason + 1] end, coalesce(d.severity, d.old_severity),
		       case when d.op in ('u', 'f', 'o') then d.old_severity end,
		       case when d.op in ('u', 'r', 'b') and d.old_software_ids <> d.software_ids then d.old_software_ids end
		from delta d where d.asset_id > $11 and d.asset_id <= $12 order by d.asset_id, d.vulnerability_id`,
		st.job.Tenant, st.job.RunID, o.Now, inventory.EventCreated, inventory.EventUpdated, inventory.EventFixed, inventory.EventReopened,
		inventory.EventReturned, inventory.EventOutOfScope, rowReasonNames(), of.after, of.last)
	return err
}
