package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// ration leaves the machines out that the quota has no room for: of those that are not in scope yet, known ones come first. What
// is in scope stays there, also when the quota has shrunk.
func (st *stage) ration(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if p.MaxAssets == 0 || p.fresh+p.returned == 0 {
		return nil
	}
	var inScope int64
	err := tx.GetContext(ctx, &inScope, `select count(*) from asset where tenant_id = $1 and state in ('active', 'inactive')`, st.job.Tenant)
	if err != nil {
		return err
	}
	err = tx.SelectContext(ctx, &p.done.OverQuotaMachines, `
		with coming as (
		  select i.idx, row_number() over (order by a.id is null, i.idx) as n
		  from incoming i left join asset a on a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id
		  where i.reason = '' and (a.id is null or a.state not in ('active', 'inactive'))
		)
		update incoming i set reason = $3 from coming c where c.idx = i.idx and c.n > $4
		returning i.idx`,
		st.job.Tenant, st.integration.ID, string(inventory.QuotaExceeded), max(0, int64(p.MaxAssets)-inScope))
	p.done.OverQuota = int64(len(p.done.OverQuotaMachines))
	if err != nil || p.done.OverQuota == 0 {
		return err
	}
	err = tx.SelectContext(ctx, &p.done.OverQuotaNamed, `
		select source_id as sourceid, hostname as name from incoming where reason = $1 order by idx limit $2`,
		string(inventory.QuotaExceeded), syncer.MaxSkippedMachines)
	if err != nil {
		return err
	}
	return st.keepOut(ctx, tx, p)
}

// keepOut tells of known machines that only the quota keeps out that it does.
func (st *stage) keepOut(ctx context.Context, tx *sqlx.Tx, p *machinePlan) error {
	if _, err := tx.ExecContext(ctx, `truncate leaving`); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `
		insert into leaving (id, old_state, old_reason, arrived, state, reason, survivor, seen_at)
		select a.id, a.state, a.state_reason, true, 'out_of_scope', i.reason, '', coalesce(a.findings_seen_at, a.last_seen_at)
		from incoming i join asset a on a.tenant_id = $1 and a.integration_id = $2 and a.source_id = i.source_id
		where i.reason = $3 and (a.state <> 'out_of_scope' or a.state_reason <> i.reason)`,
		st.job.Tenant, st.integration.ID, string(inventory.QuotaExceeded))
	if err != nil {
		return err
	}
	return st.takeOutOfScope(ctx, tx, p)
}
