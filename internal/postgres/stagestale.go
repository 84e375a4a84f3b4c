package postgres

import (
	"context"

	"github.com/jmoiron/sqlx"
	"github.com/lib/pq"

	"pgp.internal/defender/internal/inventory"
	"pgp.internal/defender/internal/syncer"
)

// staleKind is a sort of findings of stale assets that the rules treat alike.
type staleKind struct {
	traitRow
	Severity       inventory.Severity       `db:"severity"`
	Source         inventory.SeveritySource `db:"severity_source"`
	Exploitability string                   `db:"exploitability"`
}

// staleFindings are those of stale assets that the settings decide on: open, or out of scope, for whatever reason. $1 and $2 are the
// tenant and the integration.
const staleFindings = `
	select f.*, case when k.partial then coalesce((select min(m.exploitability) from remediation m
	    where m.tenant_id = $1 and m.vulnerability_id = f.vulnerability_id and m.software_id = any(f.software_ids) and m.exploitability <> ''), '') else '' end as exploitability
	from asset a join finding f on f.tenant_id = $1 and f.asset_id = a.id join vulnerability k on k.id = f.vulnerability_id
	where a.tenant_id = $1 and a.integration_id = $2 and a.state = 'stale' and f.state in (1, 3)`

// settleStale holds what is stored of stale assets to the settings, since nobody reads rows of them: after a change of settings, and when
// they had lost their findings for a reason that is none any more. It adds to what there is to do; see compareFindings.
func (st *stage) settleStale(ctx context.Context, tx *sqlx.Tx, o syncer.ApplyFindings, c *syncer.FindingChanges) error {
	due := o.Rejudged
	if !due {
		err := tx.GetContext(ctx, &due, `
			select exists (select from asset where tenant_id = $1 and integration_id = $2 and state = 'stale' and finding_hash = '')`,
			st.job.Tenant, st.integration.ID)
		if err != nil || !due {
			return err
		}
	}
	var kinds []staleKind
	err := tx.SelectContext(ctx, &kinds, `
		select distinct `+traitColumns+`, f.severity, f.severity_source, f.exploitability from (`+staleFindings+`) f join vulnerability k on k.id = f.vulnerability_id`,
		st.job.Tenant, st.integration.ID)
	if err != nil {
		return err
	}
	if len(kinds) > 0 {
		if err := st.settleKinds(ctx, tx, o.Judge, kinds, c); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, `
		update asset set finding_hash = $3 where tenant_id = $1 and integration_id = $2 and state = 'stale' and finding_hash = ''`,
		st.job.Tenant, st.integration.ID, behind)
	return err
}

func (st *stage) settleKinds(ctx context.Context, tx *sqlx.Tx, judge *inventory.Judge, kinds []staleKind, c *syncer.FindingChanges) error {
	codes := each(kinds, func(k staleKind) int64 {
		v := k.vulnerability()
		return int64(inventory.RowReasonCode(judge.Finding(inventory.TraitsOf(&v), k.Severity, k.Source, k.Exploitability)))
	})
	var back int64
	err := tx.QueryRowxContext(ctx, `
		with settled as (
		  insert into delta (asset_id, vulnerability_id, old_severity, old_software_ids, software_ids, severity, source, attack_vector, first_seen_at, reason, op)
		  select f.asset_id, f.vulnerability_id, f.severity, f.software_ids, f.software_ids, f.severity, f.severity_source, f.attack_vector, f.first_seen_at, k.code,
		         case when k.code = 0 then 'b' when f.state = 1 then 'o' else 's' end
		  from (`+staleFindings+`) f
		  join unnest($4::int[], $5::smallint[], $6::smallint[], $7::text[], $8::smallint[]) as k (vulnerability_id, severity, source, exploitability, code)
		    on (f.vulnerability_id, f.severity, f.severity_source, f.exploitability) = (k.vulnerability_id, k.severity, k.source, k.exploitability)
		  where (f.state = 1) <> (k.code = 0) or f.state = 3 and f.state_reason <> ($3::text[])[k.code + 1]
		  returning op
		)
		select count(*) filter (where op = 'o'), count(*) filter (where op = 'b') from settled`,
		st.job.Tenant, st.integration.ID, rowReasonNames(),
		pq.Array(each(kinds, func(k staleKind) int32 { return k.ID })), pq.Array(each(kinds, func(k staleKind) int32 { return int32(k.Severity) })),
		pq.Array(each(kinds, func(k staleKind) int32 { return int32(k.Source) })), pq.Array(each(kinds, func(k staleKind) string { return k.Exploitability })),
		pq.Array(codes)).Scan(&c.StaleOut, &back)
	c.BackUnread += back
	return err
}
